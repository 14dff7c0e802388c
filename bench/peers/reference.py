"""PyTorch, scikit-learn and numpy as contestants, in one process on one thread.

Reads a JSON object a line, answers with one. {"peer", "operation", ...} sets up a call and writes its results to files;
{"peer", "block": n} makes n calls and answers with the seconds a call took.
"""

import json
import os
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

EPS = 1e-5
# Calls that take longer are not made once more before each block, in seconds.
SLOW = 5e-3


def torch_operations():
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)

    def tensors(p):
        arrays = {key: torch.from_numpy(value) for key, value in p["inputs"].items()}
        if p["options"].get("layout") == "channels-last":  # the memory format that PyTorch has for it
            arrays["x"] = arrays["x"].permute(0, 3, 1, 2)
        return arrays

    def layer_norm(p, x, weight, bias, **_):
        return F.layer_norm(x, [p["shape"][-1]], weight, bias, EPS)

    def rms_norm(_, x, weight):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight

    def batch_norm_inference(_, x, weight, bias, runningMean, runningVar):
        return F.batch_norm(x, runningMean, runningVar, weight, bias, False, 0.1, EPS)

    def batch_norm(_, x, weight, bias, runningMean, runningVar, **__):
        return F.batch_norm(x, runningMean, runningVar, weight, bias, True, 0.1, EPS)

    def group_norm(p, x, weight, bias, **_):
        return F.group_norm(x, p["options"]["numGroups"], weight, bias, EPS)

    def instance_norm(_, x, weight, bias, **__):
        return F.instance_norm(x, weight=weight, bias=bias, eps=EPS)

    def unit_rows(p, x):
        return F.normalize(x, out=x if p["options"].get("inPlace") else None)

    def unit_weights(p, x):
        return x / torch.linalg.vector_norm(x.flatten(1), dim=1).reshape([-1] + [1] * (x.dim() - 1))

    def weight_norm(_, x, g):
        return torch._weight_norm(x, g.unsqueeze(1), 0)

    def local_response_norm(_, x):
        return F.local_response_norm(x, 5)

    def selu(_, x):
        return F.selu(x)

    def cosine_linear(_, x, w, **__):
        return F.linear(F.normalize(x), F.normalize(w))

    def standardized_relu(z):
        return (F.relu(z) - 0.3989422804014327) / 0.5838193701035489

    def norm_prop_linear(_, x, w, gamma, beta):
        return standardized_relu(F.linear(x, F.normalize(w)) * gamma + beta)

    def norm_prop_conv(_, x, w, gamma, beta):
        z = F.conv2d(x, F.normalize(w.flatten(1)).reshape(w.shape), padding=1)
        return standardized_relu(z * gamma.reshape(-1, 1, 1) + beta.reshape(-1, 1, 1))

    def windows_to_columns(_, x):
        return F.unfold(x, 3, padding=1)

    def columns_to_windows(p, x):
        return F.fold(x, p["shape"][2:], 3, padding=1)

    def image_to_tensor(_, x):
        """What torchvision's ToTensor and Normalize come to."""
        planes = x.permute(2, 0, 1)[:3].contiguous().float().div(255)
        mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
        return planes.sub_(mean).div_(std)

    def spectral_norm(p):
        """The forward pass of torch.nn.utils.parametrizations.spectral_norm in training, with one step."""
        arrays = tensors(p)
        x, start = arrays["x"], arrays["u"]

        def call():
            with torch.inference_mode():
                v = F.normalize(torch.mv(x.t(), start), dim=0, eps=1e-12)
                u = F.normalize(torch.mv(x, v), dim=0, eps=1e-12)
                return x / torch.dot(u, torch.mv(x, v)), u, v

        return call, lambda: {key: value.numpy() for key, value in zip(("y", "u", "v"), call())}

    def singular_values(p):
        x = tensors(p)["x"].double()  # as ours: in double precision

        def call():
            return torch.linalg.svd(x, full_matrices=False)

        return call, lambda: {"values": call()[1].numpy()}

    def folded(p):
        a = tensors(p)

        def call():
            return torch.nn.utils.fusion.fuse_conv_bn_weights(
                a["x"], None, a["runningMean"], a["runningVar"], EPS, a["weight"], a["bias"])

        return call, lambda: {key: value.detach().numpy() for key, value in zip(("y", "shift"), call())}

    def matmul(p, a, b):
        options = p["options"]
        return torch.matmul(a.T if options.get("transposeA") else a, b.T if options.get("transposeB") else b)

    def forward(f):
        def prepare(p):
            arrays = tensors(p)

            def call():
                with torch.inference_mode():
                    return f(p, **arrays)

            def result():
                y = call()
                return {"y": (y.permute(0, 2, 3, 1) if p["options"].get("layout") else y).numpy()}

            return call, result

        return prepare

    LEARNED = {"x": "dx", "weight": "dweight", "bias": "dbias", "g": "dg", "w": "dw"}

    def leaves_of(arrays):
        return [arrays[key].requires_grad_() for key in LEARNED if key in arrays]

    def named(arrays, gradients):
        names = [name for key, name in LEARNED.items() if key in arrays]
        return {name: value.numpy() for name, value in zip(names, gradients)}

    def backward(f):
        def prepare(p):
            arrays = tensors(p)
            leaves = leaves_of(arrays)
            y = f(p, **{key: value for key, value in arrays.items() if key != "dy"})

            def call():
                return torch.autograd.grad(y, leaves, arrays["dy"], retain_graph=True)

            return call, lambda: named(arrays, call())

        return prepare

    def step(f):
        def prepare(p):
            arrays = tensors(p)
            leaves = leaves_of(arrays)

            def call():
                y = f(p, **{key: value for key, value in arrays.items() if key != "dy"})
                return torch.autograd.grad(y, leaves, arrays["dy"])

            return call, lambda: named(arrays, call())

        return prepare

    return {
        "layerNorm": forward(layer_norm),
        "layerNormBackward": backward(layer_norm),
        "layerNormStep": step(layer_norm),
        "rmsNorm": forward(rms_norm),
        "rmsNormBackward": backward(rms_norm),
        "batchNormInference": forward(batch_norm_inference),
        "batchNorm": forward(batch_norm),
        "batchNormBackward": backward(batch_norm),
        "batchNormStep": step(batch_norm),
        "groupNorm": forward(group_norm),
        "groupNormBackward": backward(group_norm),
        "instanceNorm": forward(instance_norm),
        "instanceNormBackward": backward(instance_norm),
        "unitRows": forward(unit_rows),
        "unitRowsBackward": backward(unit_rows),
        "unitNorm": forward(unit_weights),
        "unitNormBackward": backward(unit_weights),
        "weightNorm": forward(weight_norm),
        "weightNormBackward": backward(weight_norm),
        "spectralNorm": spectral_norm,
        "localResponseNorm": forward(local_response_norm),
        "localResponseNormBackward": backward(local_response_norm),
        "selu": forward(selu),
        "seluBackward": backward(selu),
        "cosineLinear": forward(cosine_linear),
        "cosineLinearBackward": backward(cosine_linear),
        "normPropLinear": forward(norm_prop_linear),
        "normPropLinearBackward": backward(norm_prop_linear),
        "normPropConv": forward(norm_prop_conv),
        "normPropConvBackward": backward(norm_prop_conv),
        "im2col": forward(windows_to_columns),
        "col2im": forward(columns_to_windows),
        "imageToTensor": forward(image_to_tensor),
        "svd": singular_values,
        "foldBatchNorm": folded,
        "matmul": forward(matmul),
    }


def numpy_operations():
    """What people write: whole-array expressions over the axes of the view."""

    def normalize(p, x, weight, bias, **_):
        view = p["view"]
        axes = tuple(view["axes"])
        viewed = x.reshape(view["shape"])
        centered = viewed - viewed.mean(axes, keepdims=True)
        deviation = np.sqrt((centered * centered).mean(axes, keepdims=True) + np.float32(EPS))
        y = centered / deviation * weight.reshape(view["parameters"]) + bias.reshape(view["parameters"])
        return y.reshape(x.shape)

    def rms_norm(_, x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(EPS)) * weight

    def batch_norm_inference(p, x, weight, bias, runningMean, runningVar):
        view = p["view"]
        scale = weight / np.sqrt(runningVar + np.float32(EPS))
        shift = bias - runningMean * scale
        y = x.reshape(view["shape"]) * scale.reshape(view["parameters"]) + shift.reshape(view["parameters"])
        return y.reshape(x.shape)

    def standard_scaler(_, x):
        return (x - x.mean(0)) / x.std(0)

    def matmul(p, a, b):
        options = p["options"]
        return (a.T if options.get("transposeA") else a) @ (b.T if options.get("transposeB") else b)

    def prepared(f):
        def prepare(p):
            def call():
                return f(p, **p["inputs"])

            return call, lambda: {"y": call()}

        return prepare

    formulas = {
        "layerNorm": normalize,
        "rmsNorm": rms_norm,
        "batchNormInference": batch_norm_inference,
        "batchNorm": normalize,
        "groupNorm": normalize,
        "instanceNorm": normalize,
        "standardScaler": standard_scaler,
        "matmul": matmul,
    }
    def eigh(p):
        matrix = p["inputs"]["x"].astype(np.float64)  # as ours: in double precision

        def call():
            return np.linalg.eigh(matrix)

        return call, lambda: {"values": call()[0]}

    return {**{key: prepared(f) for key, f in formulas.items()}, "eigh": eigh}


def sklearn_operations():
    from sklearn.preprocessing import StandardScaler

    def standard_scaler(p):
        scaler = StandardScaler()

        def call():
            return scaler.fit_transform(p["inputs"]["x"])

        return call, lambda: {"y": call()}

    def fit(p):
        scaler = StandardScaler()

        def call():
            return scaler.fit(p["inputs"]["x"])

        return call, lambda: {"scale": call().scale_}

    def transform(p):
        scaler = StandardScaler().fit(p["inputs"]["x"])

        def call():
            return scaler.transform(p["inputs"]["x"])

        return call, lambda: {"y": call()}

    return {"standardScaler": standard_scaler, "standardScalerFit": fit, "standardScalerTransform": transform}


def available(makers):
    """The libraries that are there, and why the others are not."""
    operations, missing = {}, {}
    for name, make in makers.items():
        try:
            operations[name] = make()
        except ImportError as error:
            missing[name] = str(error)
    return operations, missing


def prepare(request, operations):
    table = operations[request["peer"]]
    if request["operation"] not in table:
        return None, {"lacks": True}
    inputs = {
        key: np.fromfile(value["file"], value["dtype"]).reshape(value["shape"])
        for key, value in request["inputs"].items()
    }
    call, result = table[request["operation"]]({**request, "inputs": inputs})
    files = {}
    for key, array in result().items():
        files[key] = f"{request['directory']}/{request['peer']}-{key}"  # read when all the peers are prepared
        np.ascontiguousarray(array, np.float32).tofile(files[key])
    return call, {"results": files}


def block(call, count, state):
    """Seconds a call, after one outside the clock as the other contestants have it."""
    if state.get("period", 0) < SLOW:
        call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    state["period"] = (time.perf_counter() - start) / count
    return state["period"]


def main():
    makers = {"PyTorch": torch_operations, "scikit-learn": sklearn_operations, "numpy": numpy_operations}
    operations, missing = available(makers)
    print(json.dumps({"peers": list(operations), "missing": missing}), flush=True)
    calls = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "block" in request:
                call, state = calls[request["peer"]]
                answer = {"seconds": block(call, request["block"], state)}
            else:
                calls.pop(request["peer"], None)  # lets go of the arrays before new ones are read
                call, answer = prepare(request, operations)
                calls[request["peer"]] = (call, {})
        except Exception as error:  # the bench prints it and goes on without this peer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
