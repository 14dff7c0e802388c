import { BatchNorm, matmul, tensor } from "evenkeel";
const rnd=(n)=>Float32Array.from({length:n},()=>Math.random()-.5);
const H=(s)=>({data:rnd(s[0]*s[1]),shape:s});
const T=(s)=>tensor(s,{data:rnd(s[0]*s[1])});
function time(name,f,flops,n=3000){for(let i=0;i<500;i++)f();const ts=[];for(let r=0;r<7;r++){const t=performance.now();for(let i=0;i<n/7;i++)f();ts.push((performance.now()-t)/(n/7)*1000)}ts.sort((a,b)=>a-b);console.log(name,ts[3].toFixed(1)+"us",flops?(flops/ts[3]/1e3).toFixed(1)+" GFLOP/s":"")}
for(const [k,M] of [["heap",H],["tensor",T]]){
 for (const [m,kk,n,ta,tb,w] of [[60,784,100,false,false,"fwd1"],[784,60,100,true,false,"dW1"],[60,100,100,false,false,"fwd2"],[60,100,100,false,true,"fwd2 W[out,in]"],[60,784,100,false,true,"fwd1 W[out,in]"],[100,60,784,true,false,"dW1 [out,in]"],[100,60,100,true,false,"dW2"],[60,100,100,false,true,"dx2"],[60,100,10,false,false,"fwd4"],[100,60,10,true,false,"dW4"],[2000,784,100,false,false,"eval"]]){
  const a=M(ta?[kk,m]:[m,kk]),b=M(tb?[n,kk]:[kk,n]);const out=k=="heap"?{data:new Float32Array(m*n),shape:[m,n]}:T([m,n]);
  time(`${k} ${w} ${m}x${kk}x${n}`,()=>matmul(a,b,{transposeA:ta,transposeB:tb,out}),2*m*kk*n, w=="eval"?100:3000);
 }
 const x=M([60,100]),y=k=="heap"?{data:new Float32Array(6000),shape:[60,100]}:T([60,100]);
 const bn=new BatchNorm(100);
 time(`${k} bn fwd`,()=>bn.forward(x,{out:y}));
 time(`${k} bn bwd`,()=>bn.backward(y,{out:y}));
}
const s=rnd(6000),o=new Float32Array(6000);time("sigmoid heap",()=>{for(let i=0;i<6000;i++)o[i]=1/(1+Math.exp(-s[i]))});
const b784=rnd(78400),g=rnd(78400);time("sgd",()=>{for(let i=0;i<78400;i++)b784[i]-=.1*g[i]});
const tb=tensor([784,100]),tg=tensor([784,100]);time("sgd tensor",()=>{const a=tb.data,b=tg.data;for(let i=0;i<a.length;i++)a[i]-=.1*b[i]});
