"""Names: of packages at the index where they differ from those that are imported, and those that look alike."""

from __future__ import annotations

# How alike two names are before one is offered for the other, from 0 to 1.
CLOSE = 0.65
# What is imported → what is installed, where reading the one does not lead to the other.
_DISTRIBUTIONS = {
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "bson": "pymongo",
    "cairo": "pycairo",
    "configargparse": "ConfigArgParse",
    "consul": "python-consul",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "decouple": "python-decouple",
    "discord": "discord.py",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "engineio": "python-engineio",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "github": "PyGithub",
    "gitlab": "python-gitlab",
    "google.genai": "google-genai",
    "google.protobuf": "protobuf",
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "gridfs": "pymongo",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "memcache": "python-memcached",
    "multipart": "python-multipart",
    "nats": "nats-py",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pymysql": "PyMySQL",
    "python_multipart": "python-multipart",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "snappy": "python-snappy",
    "socketio": "python-socketio",
    "socks": "PySocks",
    "speech_recognition": "SpeechRecognition",
    "telegram": "python-telegram-bot",
    "tlz": "toolz",
    "umap": "umap-learn",
    "usb": "pyusb",
    "win32api": "pywin32",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def name_missing(module: str) -> str:
    """Name what provides a module that is not installed.

    Args:
        module: Its dotted name, as it is imported.

    Example:
        >>> name_missing("jwt")
        '`PyJWT`, which provides `jwt`'
        >>> name_missing("shop.prices")
        'the package that provides `shop`, which may have another name'
    """
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        known = _DISTRIBUTIONS.get(".".join(parts[:end]))
        if known is not None:
            return f"`{known}`, which provides `{'.'.join(parts[:end])}`"
    if parts[:2] == ["google", "cloud"] and len(parts) > 2:
        return f"`google-cloud-{parts[2].replace('_', '-')}`, which provides `{'.'.join(parts[:3])}`"
    return f"the package that provides `{parts[0]}`, which may have another name"
