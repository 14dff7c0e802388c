"""The batch-normalized LSTM."""

import torch

from .cases import F32, F64, centre, evaluate, malformed, measured_tolerance, operation


def recurrent_batch_norm_forward(t, attrs):
    """Cooijmans et al.: both products and the cell's output are normalized, with each timestep's own statistics."""

    def normalize(z, gamma):
        d, _, var = centre(z, [0])
        return d / torch.sqrt(var + attrs.get("eps", 1e-5)) * gamma

    h, c, hs = t["h0"], t["c0"], []
    for x in t["xs"]:
        gates = normalize(h @ t["w_h"].T, t["gamma_h"]) + normalize(x @ t["w_x"].T, t["gamma_x"]) + t["bias"]
        f, i, o, g = torch.chunk(gates, 4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(normalize(c, t["gamma_c"]) + t["beta_c"])
        hs.append(h)
    return {"hs": torch.stack(hs), "c_last": c}


@operation("recurrent_batch_norm")
def recurrent_batch_norm(suite):
    grads = {"dxs": "xs", "dw_x": "w_x", "dw_h": "w_h", "dbias": "bias", "dgamma_x": "gamma_x", "dgamma_h": "gamma_h",
             "dgamma_c": "gamma_c", "dbeta_c": "beta_c", "dh0": "h0", "dc0": "c0"}
    pairs = (("dhs", "hs"),)

    def add(name, attrs, inputs, **options):
        outputs = evaluate(recurrent_batch_norm_forward, attrs, inputs, grads, pairs)
        tolerance = measured_tolerance(recurrent_batch_norm_forward, attrs, inputs, outputs, grads, pairs)
        suite.add(name, attrs, inputs, outputs, **{**tolerance, **options})

    normal = suite.normal

    def tensors(dtype, steps, batch, size, hidden, gamma=0.5):
        return {"xs": normal(dtype, (steps, batch, size)), "h0": normal(dtype, (batch, hidden), 0, 0.5),
                "c0": normal(dtype, (batch, hidden), 0, 0.5), "w_x": normal(dtype, (4 * hidden, size)),
                "w_h": normal(dtype, (4 * hidden, hidden)), "bias": normal(dtype, 4 * hidden, 0, 0.5),
                "gamma_x": normal(dtype, 4 * hidden, gamma, 0.1), "gamma_h": normal(dtype, 4 * hidden, gamma, 0.1),
                "gamma_c": normal(dtype, hidden, gamma, 0.1), "beta_c": normal(dtype, hidden, 0, 0.3),
                "dhs": normal(dtype, (steps, batch, hidden))}

    for dtype in (F32, F64):
        for steps, batch, size, hidden in ((1, 3, 2, 1), (2, 5, 1, 1), (4, 3, 1, 1), (3, 5, 3, 2), (5, 4, 1, 3),
                                           (2, 7, 5, 1)):
            add(f"{steps} steps, batch {batch}, {size} inputs, {hidden} units", {"eps": 1e-5},
                tensors(dtype, steps, batch, size, hidden))
        add("gamma near 0.1, eps 1e-3", {"eps": 1e-3}, tensors(dtype, 3, 5, 2, 2, 0.1))
        forward = tensors(dtype, 4, 3, 2, 2)
        del forward["dhs"]
        add("forward only, defaults", {}, forward)
        start = tensors(dtype, 2, 5, 3, 2)
        start["h0"][:], start["c0"][:] = 0, 0
        add("starting from 0, eps 0.01", {"eps": 0.01}, start)

    inputs = tensors(F32, 2, 3, 3, 2)
    suite.error("xs without elements", {}, {**inputs, "xs": inputs["xs"][:0], "dhs": None})
    suite.error("fewer data than the shape says", {},
                {**inputs, "xs": malformed(inputs["xs"].ravel()[:-1], (2, 3, 3))})
    suite.error("w_x for other inputs", {}, {**inputs, "w_x": normal(F32, (8, 2))})
    suite.error("w_h for other units", {}, {**inputs, "w_h": normal(F32, (8, 3))})
    suite.error("h0 of another batch", {}, {**inputs, "h0": normal(F32, (2, 2))})
    suite.error("c0 of another shape", {}, {**inputs, "c0": normal(F32, (3, 3))})
    for key in ("bias", "gamma_x", "gamma_h", "gamma_c", "beta_c"):
        suite.error(f"{key} too short", {}, {**inputs, key: inputs[key][:-1]})
    suite.error("dhs of another shape", {}, {**inputs, "dhs": normal(F32, (2, 3, 3))})
    suite.error("negative eps", {"eps": -1}, inputs)
