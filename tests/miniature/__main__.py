"""Write the miniature archives and `miniature.yaml`, which points the data sets of a study to them."""

import argparse
import threading
from pathlib import Path

import yaml

from tests.miniature import make_archives, overlay, serve


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.miniature", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write the archives and miniature.yaml")
    parser.add_argument("--serve", action="store_true", help="serve the folder until killed, and print the address")
    parser.add_argument(
        "--port", type=int, default=8000, help="port named in miniature.yaml; 0 with --serve: any free one"
    )
    arguments = parser.parse_args()
    archives = make_archives(arguments.folder)

    def write_overlay(url: str) -> None:
        settings = arguments.folder / "miniature.yaml"
        settings.write_text(yaml.safe_dump(overlay(archives, url), sort_keys=False))

    if not arguments.serve:
        write_overlay(f"http://127.0.0.1:{arguments.port}")
        return
    with serve(arguments.folder, port=arguments.port) as url:
        write_overlay(url)
        print(url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
