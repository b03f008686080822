"""
The values that flow through the pipeline: what a caller asks, what a provider receives, what comes back.

All are slotted, and frozen for the type checker (see `shared.dataclass`); none is validated here. Outside data is checked
once, at the edge (the server, the SDK, the settings), and plain values travel from there. Vendor shapes never appear: a
provider's `wire.py` translates.
"""

from fengchao_core.types.answering import Choice as Choice
from fengchao_core.types.answering import Completion as Completion
from fengchao_core.types.answering import Delta as Delta
from fengchao_core.types.answering import ToolCallFragment as ToolCallFragment
from fengchao_core.types.asking import DEFAULT_PARAMS as DEFAULT_PARAMS
from fengchao_core.types.asking import ChatCall as ChatCall
from fengchao_core.types.asking import ChatParams as ChatParams
from fengchao_core.types.asking import ChatRequest as ChatRequest
from fengchao_core.types.asking import ResponseFormat as ResponseFormat
from fengchao_core.types.asking import Tool as Tool
from fengchao_core.types.gathering import Gathered as Gathered
from fengchao_core.types.gathering import PartialAnswer as PartialAnswer
from fengchao_core.types.gathering import SearchRequest as SearchRequest
from fengchao_core.types.gathering import SearchResult as SearchResult
from fengchao_core.types.gathering import WebPage as WebPage
from fengchao_core.types.gathering import WebSearch as WebSearch
from fengchao_core.types.media import DrawCall as DrawCall
from fengchao_core.types.media import EmbeddingRequest as EmbeddingRequest
from fengchao_core.types.media import EmbeddingResult as EmbeddingResult
from fengchao_core.types.media import Image as Image
from fengchao_core.types.media import ImageRequest as ImageRequest
from fengchao_core.types.media import ImageResult as ImageResult
from fengchao_core.types.messages import AudioPart as AudioPart
from fengchao_core.types.messages import ContentPart as ContentPart
from fengchao_core.types.messages import FilePart as FilePart
from fengchao_core.types.messages import ImagePart as ImagePart
from fengchao_core.types.messages import Message as Message
from fengchao_core.types.messages import TextPart as TextPart
from fengchao_core.types.messages import ToolCall as ToolCall
from fengchao_core.types.messages import VideoPart as VideoPart
from fengchao_core.types.models import Capability as Capability
from fengchao_core.types.models import Kind as Kind
from fengchao_core.types.models import ModelCard as ModelCard
from fengchao_core.types.models import Money as Money
from fengchao_core.types.models import OffPeak as OffPeak
from fengchao_core.types.models import Price as Price
from fengchao_core.types.models import PriceTier as PriceTier
from fengchao_core.types.shared import EMPTY as EMPTY
from fengchao_core.types.shared import Currency as Currency
from fengchao_core.types.shared import FinishReason as FinishReason
from fengchao_core.types.shared import Role as Role
from fengchao_core.types.shared import UsageSource as UsageSource
from fengchao_core.types.using import NO_USAGE as NO_USAGE
from fengchao_core.types.using import Usage as Usage
