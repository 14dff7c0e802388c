// Runs in the report, after uPlot and `sweeps`: a chart for each sweep, both axes logarithmic.
const colors = [
  "#2f7ebc",
  "#8a93a0",
  "#c2851b",
  "#c2476b",
  "#4f9a4f",
  "#8561c5",
  "#2fa0a0",
  "#a06a3f",
  "#d0603a",
  "#6b7684",
];
const contestants = [...new Set(sweeps.flatMap(({ names }) => names))];
const colorOf = (name) => colors[contestants.indexOf(name) % colors.length];
const ink = getComputedStyle(document.body).color;
const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" } };
const short = (value) => (value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : `${value}`);
const labels = (_, values) => values.map((value) => (value === null ? "" : short(value)));

for (const { title, names, data } of sweeps) {
  const options = {
    title,
    width: Math.min(1100, document.body.clientWidth),
    height: 420,
    scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
    axes: [
      { ...axis, values: labels },
      { ...axis, values: labels, size: 60 },
    ],
    series: [
      { label: "elements" },
      ...names.map((label, i) => ({
        label,
        stroke: colorOf(label),
        width: i === 0 ? 3 : 1.5,
        dash: label === "memory.copy" ? [6, 4] : undefined,
        value: (_, value) => (value === null ? "-" : `${value.toPrecision(3)} µs`),
      })),
    ],
  };
  new uPlot(options, data, document.getElementById("sweeps"));
}
