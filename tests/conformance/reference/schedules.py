"""Learning-rate schedules."""

from decimal import Decimal, getcontext

import numpy as np

from .cases import agree, operation

getcontext().prec = 60


@operation("exponential_learning_rate")
def exponential_learning_rate(suite):
    def larger_root(lr, weight_decay, momentum):
        b = 1 + Decimal(momentum) - Decimal(weight_decay) * Decimal(lr)
        return (b + (b * b - 4 * Decimal(momentum)).sqrt()) / 2

    def add(name, lr, weight_decay, momentum, steps):
        alpha = larger_root(lr, weight_decay, momentum)
        lrs = [float(Decimal(lr) * alpha ** (-2 * t - 1)) for t in range(steps)]
        if steps > 1 and momentum:
            alphas = np.roots([1, -(1 + momentum - weight_decay * lr), momentum])
            agree(lrs[1] / lrs[0], max(alphas.real) ** -2, "exponential_learning_rate", atol=1e-6)
        attrs = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "steps": steps}
        # Near a double root the root of the discriminant halves the digits of alpha.
        suite.add(name, attrs, {}, {"lrs": np.array(lrs)}, atol=0, rtol=1e-10)

    add("momentum 0.9", 0.1, 5e-4, 0.9, 17)
    add("without momentum", 0.1, 5e-4, 0, 10)
    add("without weight decay: constant", 0.1, 0, 0.9, 5)
    add("without either: constant", 0.05, 0, 0, 3)
    add("one step", 0.4, 1e-3, 0.5, 1)
    add("large decay", 0.5, 0.1, 0.3, 31)
    add("127 steps", 0.8, 5e-4, 0.9, 127)
    add("tiny decay", 0.01, 1e-6, 0.99, 5)
    add("close to a double root", 1, 0.002, 0.91, 5)

    attrs = {"lr": 0.1, "weight_decay": 5e-4, "momentum": 0.9, "steps": 5}
    suite.error("complex roots", {**attrs, "lr": 1, "weight_decay": 0.5}, {})
    suite.error("complex roots, just", {**attrs, "lr": 1, "weight_decay": 0.0027}, {})
    suite.error("complex roots, high momentum", {**attrs, "lr": 2, "weight_decay": 0.01, "momentum": 0.99}, {})
    suite.error("steps negative", {**attrs, "steps": -1}, {})
