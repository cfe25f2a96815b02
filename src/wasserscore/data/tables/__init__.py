"""Tables of mixed columns: what each column is, how rows become points and points become rows."""

from wasserscore.data.tables.codec import Codec as Codec
from wasserscore.data.tables.frames import read_frame as read_frame
from wasserscore.data.tables.frames import write_frame as write_frame
from wasserscore.data.tables.overrides import Overrides as Overrides
from wasserscore.data.tables.overrides import read_overrides as read_overrides
