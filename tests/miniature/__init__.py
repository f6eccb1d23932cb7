"""Small archives in the official formats of the data sets, with classes that can be learnt, and a server with faults.

`python -m tests.miniature FOLDER --serve` writes and serves them for a study that is run by hand.
"""

from tests.miniature.archives import make_archives, member, overlay, served
from tests.miniature.clicks import movielens, taobao
from tests.miniature.disk import read_only, small_file_system
from tests.miniature.folders import FOLDERS, image_folders
from tests.miniature.server import Request, serve

__all__ = [
    "FOLDERS",
    "Request",
    "image_folders",
    "make_archives",
    "member",
    "movielens",
    "overlay",
    "read_only",
    "serve",
    "served",
    "small_file_system",
    "taobao",
]
