"""Data sets of a few drawn pictures, in the folders that the real ones have."""

import numpy as np
from PIL import Image, ImageDraw
from torchvision.datasets import Imagenette

BREEDS = {"Abyssinian": (1, "brown"), "american_bulldog": (2, "white"), "Bengal": (6, "orange")}
COLORS = {"fern": (40, 160, 60), "moss": (120, 140, 20), "rose": (200, 40, 80)}
CORNERS = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
HEAD = f"<annotation><object><name>cat</name><bndbox>{CORNERS}</bndbox></object></annotation>"


def draw_imagenette(home, sizes):
    """Grey pictures of 24 x 16 pixels, `sizes` of each class, a shade each."""
    for label, wnid in enumerate(sorted(Imagenette._WNID_TO_CLASS)):
        for subset, n in sizes.items():
            folder = home / "imagenette2-160" / subset / wnid
            folder.mkdir(parents=True)
            for i in range(n):
                grey = Image.new("L", (24, 16), 20 * label + 5 * i + (subset == "val"))
                grey.save(folder / f"picture_{i}.JPEG", quality=100)


def draw_pet(folder, name, color, rng):
    """An ellipse on green noise, its outline as the border, its upper half the head."""
    width, height = 96, 72
    x0, y0 = rng.integers(4, 40), rng.integers(4, 30)
    box = [x0, y0, x0 + rng.integers(24, 50), y0 + rng.integers(24, 38)]
    meadow = rng.integers(0, [60, 160, 60], (height, width, 3), dtype=np.uint8)
    photograph, trimap = Image.fromarray(meadow), Image.new("L", (width, height), 2)
    ImageDraw.Draw(photograph).ellipse(box, fill=color)
    ImageDraw.Draw(trimap).ellipse(box, fill=1, outline=3, width=2)
    photograph.save(folder / "images" / f"{name}.jpg")
    trimap.save(folder / "annotations" / "trimaps" / f"{name}.png")
    xml = HEAD.format(box[0] + 1, box[1] + 1, box[2] + 1, (box[1] + box[3]) // 2)
    (folder / "annotations" / "xmls" / f"{name}.xml").write_text(xml)


def draw_pets(home, sizes):
    """Lists of photographs, `sizes` of each breed, as torchvision has them."""
    folder, rng = home / "oxford-iiit-pet", np.random.default_rng(0)
    for part in ("images", "annotations/trimaps", "annotations/xmls"):
        (folder / part).mkdir(parents=True)
    for subset, n in sizes.items():
        lines = []
        for breed, (label, color) in BREEDS.items():
            for number in range(n):
                name = f"{breed}_{subset}{number}"
                draw_pet(folder, name, color, rng)
                lines.append(f"{name} {label} 1 1\n")
        (folder / "annotations" / f"{subset}.txt").write_text("".join(lines))


def draw_photographs(folder, n):
    """Noise of the colour of its class, `n` pictures of each in a folder named after it."""
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for number in range(n):
            pixels = rng.normal(color, 30, (70, 90, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def draw_plants(folder, parts=(("train", 12), ("val", 4), ("test", 4))):
    """Shapes on grey noise, four classes, `0_ab12.jpg` in each part: 80 pictures by default.

    Returns the boxes of the shapes by the names of the files, in pixels of 96 x 96.
    """
    rng = np.random.default_rng(0)
    boxes = {}
    for part, n in parts:
        (folder / part).mkdir(parents=True)
        for label, color in enumerate(["green", "gold", "crimson", "blue"]):
            for _ in range(n):
                pixels = rng.normal(150, 20, (96, 96, 3)).clip(0, 255).astype(np.uint8)
                picture = Image.fromarray(pixels)
                x, y = rng.integers(4, 48, 2).tolist()
                draw, box = ImageDraw.Draw(picture), [x, y, x + 40, y + 40]
                (draw.ellipse if label % 2 else draw.rectangle)(box, fill=color)
                name = f"{part}/{label}_{rng.bytes(4).hex()}.jpg"
                picture.save(folder / name, quality=95)
                boxes[name] = box
    return boxes
