"""From the bytes of an image to a normalized tensor."""

import numpy as np

from .cases import F32, malformed, operation

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@operation("image_to_tensor")
def image_to_tensor(suite):
    def add(name, attrs, image):
        y = (image[:, :, :3] / 255 - np.array(attrs["mean"])) / np.array(attrs["std"])
        y = y if attrs.get("layout") == "channels-last" else np.moveaxis(y, -1, 0)
        suite.add(name, attrs, {"image": image}, {"y": y[None]})

    def pixels(*shape):
        return suite.rng.integers(0, 256, shape).astype(np.uint8)

    for layout in ("channels-first", "channels-last"):
        for height, width in ((1, 1), (3, 5), (5, 3), (17, 1), (7, 9)):
            for channels in (3, 4):
                add(f"{height} x {width}, {channels} channels, {layout}",
                    {**IMAGENET, "channels": channels, "layout": layout}, pixels(height, width, channels))
    add("default layout", {**IMAGENET, "channels": 3}, pixels(2, 3, 3))
    add("to -1 and 1", {"mean": [0.5] * 3, "std": [0.5] * 3, "channels": 3}, pixels(3, 3, 3))
    add("to 0 and 1", {"mean": [0] * 3, "std": [1] * 3, "channels": 4}, pixels(3, 3, 4))
    every = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2)
    add("every byte", {**IMAGENET, "channels": 3}, every)

    image = pixels(2, 3, 3)
    attrs = {**IMAGENET, "channels": 3}
    suite.error("std 0", {**attrs, "std": [0.2, 0, 0.2]}, {"image": image})
    suite.error("mean of two numbers", {**attrs, "mean": [0.5, 0.5]}, {"image": image})
    suite.error("std of four numbers", {**attrs, "std": [1, 1, 1, 1]}, {"image": image})
    suite.error("channels other than the image's", {**attrs, "channels": 4}, {"image": image})
    suite.error("two channels", {**attrs, "channels": 2}, {"image": pixels(2, 3, 2)})
    suite.error("an image without pixels", attrs, {"image": image[:0]})
    suite.error("fewer data than the shape says", attrs, {"image": malformed(image.ravel()[:-1], image.shape)})
