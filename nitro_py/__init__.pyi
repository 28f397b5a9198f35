"""The table of the public names: read by type checkers, and by `__init__.py` to find the module of a name.

Each line is an import of one name under itself.
"""

from nitro_py.config import runtime_config as runtime_config
from nitro_py.config import websocket_url as websocket_url
from nitro_py.errors import BackplaneError as BackplaneError
from nitro_py.errors import BuildError as BuildError
from nitro_py.errors import ConfigError as ConfigError
from nitro_py.errors import HTTPError as HTTPError
from nitro_py.errors import MessageTooLargeError as MessageTooLargeError
from nitro_py.errors import MessageValidationError as MessageValidationError
from nitro_py.errors import NitroError as NitroError
from nitro_py.errors import PeerClosedError as PeerClosedError
from nitro_py.errors import StorageAnswerLostError as StorageAnswerLostError
from nitro_py.errors import StorageError as StorageError
from nitro_py.errors import UnsupportedError as UnsupportedError
from nitro_py.errors import UsageError as UsageError
from nitro_py.event import Event as Event
from nitro_py.handler import Handler as Handler
from nitro_py.handler import define_event_handler as define_event_handler
from nitro_py.handler import define_handler as define_handler
from nitro_py.headers import Headers as Headers
from nitro_py.headers import Query as Query
from nitro_py.message import Message as Message
from nitro_py.middleware import Next as Next
from nitro_py.middleware import define_middleware as define_middleware
from nitro_py.mount import mount_asgi as mount_asgi
from nitro_py.peer import Peer as Peer
from nitro_py.peer import ReadyState as ReadyState
from nitro_py.plugins import define_plugin as define_plugin
from nitro_py.request import Request as Request
from nitro_py.response import Response as Response
from nitro_py.sse import EventStream as EventStream
from nitro_py.sse import EventStreamMessage as EventStreamMessage
from nitro_py.sse import create_event_stream as create_event_stream
from nitro_py.sse import event_stream_last_id as event_stream_last_id
from nitro_py.storages import Storage as Storage
from nitro_py.storages import StorageEntry as StorageEntry
from nitro_py.storages import storage as storage
from nitro_py.topics import get_peer as get_peer
from nitro_py.topics import peers as peers
from nitro_py.topics import publish as publish
from nitro_py.validation import get_validated_query as get_validated_query
from nitro_py.validation import read_validated_body as read_validated_body
from nitro_py.websocket import CloseDetails as CloseDetails
from nitro_py.websocket import Upgrade as Upgrade
from nitro_py.websocket import WebSocketHandler as WebSocketHandler
from nitro_py.websocket import define_websocket_handler as define_websocket_handler

__version__: str
__all__: list[str]
