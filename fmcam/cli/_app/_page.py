"""The page of `fmcam app`: its parts, and what each does."""

import tempfile
from functools import partial
from pathlib import Path

import gradio as gr
import matplotlib

from fmcam._files import replacing
from fmcam.cli._app._cards import cards_html, message_html, photograph_html
from fmcam.cli._app._lines import python_lines
from fmcam.cli._app._look import look, table, write_figure
from fmcam.cli._app._networks import Networks
from fmcam.cli._class_names import read_class_names
from fmcam.cli._explain import slug
from fmcam.cli._explanations import likeliest, top_classes
from fmcam.cli._script import mistakes_named
from fmcam.cli.explain import METHODS
from fmcam.report import write_csv

__all__ = ["main", "make_page"]

matplotlib.use("Agg")

PREDICTED = -1  # in place of the position of a class
USUAL = ["grad-cam", "layer-cam"]
EMPTY = "<p>Drop a photograph to see where the network looks.</p>"
SAVED = {".png": "Save picture (PNG)", ".csv": "Save numbers (CSV)", ".py": "Save Python lines"}
# The browser loads nothing from elsewhere, whatever gradio's scripts ask for.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'"
)
# A button of gradio downloads what was there before it was pressed. So one writes the file, and
# another one, which is not seen, is pressed when it is there and drawn.
PRESS = "() => setTimeout(() => document.querySelector('#save-{}').click(), 100)"
HEAD = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'


def main(config, model, arch, folder):
    """Open the network, and serve the page to this machine alone until Ctrl-C."""
    with mistakes_named():
        names = read_class_names(config.class_names)
        networks = Networks(model, arch, config.image_size, names)
        networks.open(networks.names[0])
    # fonts of the machine: gradio's own come from the network
    theme = gr.themes.Default(primary_hue="blue", font="system-ui", font_mono="ui-monospace")
    page = make_page(networks, folder)
    _, address, _ = page.launch(
        server_name="127.0.0.1",
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        enable_monitoring=False,
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        footer_links=[],
        theme=theme,
        css_paths=Path(__file__).with_name("page.css"),
        head=HEAD,
    )
    print(f"The page is at {address} until you press Ctrl-C.", flush=True)
    page.block_thread()


def make_page(networks, folder):
    """The page, not yet served.

    Parameters
    ----------
    networks : Networks
    folder : path
        For what is downloaded.

    Returns
    -------
    gradio.Blocks
    """
    first = networks.open(networks.names[0])
    with gr.Blocks(title="fmcam: where does it look?", analytics_enabled=False) as page:
        seen, inside = gr.State(), gr.State()
        gr.Markdown("# Where does the network look?")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                photograph = gr.File(label="Photograph", file_types=["image"], height=130)
                preview = gr.HTML()
                network = gr.Dropdown(networks.names, value=networks.names[0], label="Network")
                classes = gr.Dropdown(_classes(first), value=PREDICTED, label="Class to explain")
                methods = gr.Dropdown(METHODS, value=USUAL, multiselect=True, label="Methods")
                layers = gr.Dropdown(
                    first.layers,
                    multiselect=True,
                    label="Layers",
                    info="By default the last one that has maps.",
                )
                random = gr.Checkbox(True, label="Beside each: the same with random weights")
                again = gr.Button("Explain", variant="primary")
                top = gr.Label(label="Likeliest classes")
            with gr.Column(scale=3, min_width=320):
                threshold = gr.Slider(
                    0.01,
                    1,
                    0.5,
                    step=0.01,
                    label="Threshold",
                    info="From it on a pixel is hot. The box is around the largest hot region.",
                )
                cards = gr.HTML(EMPTY)
                with gr.Row():
                    buttons = [
                        gr.Button(label, interactive=False, min_width=120)
                        for label in SAVED.values()
                    ]
                files = [
                    gr.DownloadButton(visible="hidden", elem_id=f"save-{ending[1:]}")
                    for ending in SAVED
                ]
                with gr.Accordion("The same in Python", open=False):
                    lines = gr.Code(language="python", interactive=False, show_label=False)

        chosen = [photograph, network, classes, methods, layers, random, threshold]
        for event, changed in (
            (photograph.upload, "photograph"),
            (network.input, "network"),
            (classes.input, "class"),
            (again.click, "choices"),
        ):
            event(
                partial(_explain, networks, changed),
                chosen,
                [seen, preview, top, classes, layers, cards, lines, *buttons],
                concurrency_id="explain",
                concurrency_limit=4,
                show_progress_on=cards,
                trigger_mode="always_last",
            )
        threshold.input(
            _redraw,
            [seen, threshold],
            [cards, lines],
            show_progress="hidden",
            trigger_mode="always_last",
        )
        for button, file, ending in zip(buttons, files, SAVED, strict=True):
            button.click(
                partial(_save, folder, ending),
                [seen, threshold, inside],
                [file, inside],
                concurrency_id="save",  # one at a time: pyplot is not made for threads
                show_progress_on=button,
            ).success(js=PRESS.format(ending[1:]))
    return page


def _explain(networks, changed, photograph, name, column, methods, layers, random, threshold):
    """All that is shown, after something was changed: the photograph, the network or a choice."""
    if changed in ("photograph", "network"):
        column = PREDICTED
    column = None if column in (PREDICTED, None) else column
    try:
        network = networks.open(name)
    except (OSError, ValueError) as error:
        return _nothing(message_html(error), gr.skip(), gr.skip())
    layers = [] if changed == "network" else layers or []
    offered = gr.Dropdown(network.layers, value=layers, multiselect=True)
    if photograph is None:
        return _nothing("", _class_dropdown(network), offered)
    try:
        found = look(network, photograph, methods or [], layers, column, random)
    except (OSError, ValueError) as error:
        return _nothing(message_html(error), _class_dropdown(network), offered)
    return (
        found,
        photograph_html(found),
        dict(top_classes(found.proba, network.names)),
        _class_dropdown(network, found.proba, column),
        offered,
        *_redraw(found, threshold),
        *_buttons(bool(found.heatmaps)),
    )


def _nothing(message, classes, layers):
    """No heatmaps, and where the photograph would be shown, why."""
    return None, message, None, classes, layers, *_redraw(None, None), *_buttons(False)


def _class_dropdown(network, proba=None, column=None):
    value = PREDICTED if column is None else column
    return gr.Dropdown(_classes(network, proba), value=value)


def _classes(network, proba=None):
    """What the class to explain is chosen from: the likeliest first, where that is known."""
    named = [(name, column) for column, name in enumerate(network.names)]
    if proba is None:
        return [("the likeliest one", PREDICTED), *named]
    columns = likeliest(proba)
    likely = [(f"{network.names[one]} ({proba[one]:.3f})", one) for one in columns]
    others = [one for one in named if one[1] not in columns]
    return [(f"the likeliest one: {network.names[columns[0]]}", PREDICTED), *likely, *others]


def _redraw(seen, threshold):
    """What follows the threshold: of kept heatmaps, no network runs."""
    if seen is None:
        return EMPTY, ""
    return cards_html(seen, threshold), python_lines(seen, threshold) if seen.heatmaps else ""


def _buttons(interactive):
    return [gr.Button(interactive=interactive) for _ in SAVED]


def _save(folder, ending, seen, threshold, inside):
    """Write what a button downloads, in a folder `inside` that each browser has for itself."""
    inside = inside or tempfile.mkdtemp(dir=folder)
    path = Path(inside, f"{slug(Path(seen.picture.file).stem)}-heatmaps{ending}")
    with replacing(path) as beside:
        if ending == ".png":
            write_figure(seen, threshold, beside)
        elif ending == ".csv":
            write_csv(table(seen, threshold), beside)
        else:
            beside.write_text(python_lines(seen, threshold), encoding="utf-8")
    return str(path), inside
