"""
Sensitive words: found in whole texts and in streams, in the disguises people give them.

`WordList` says what to look for, `Filter` holds the `Lexicon` in force, `Lexicon.screen` screens a whole text and
`StreamScreen` one that arrives in pieces.
"""

from fengchao_core.sensitive.entries import check_words as check_words
from fengchao_core.sensitive.export import render_wordlists as render_wordlists
from fengchao_core.sensitive.filter import Filter as Filter
from fengchao_core.sensitive.folding import Folding as Folding
from fengchao_core.sensitive.formats import Format as Format
from fengchao_core.sensitive.formats import parse_wordlists as parse_wordlists
from fengchao_core.sensitive.formats import parse_words as parse_words
from fengchao_core.sensitive.formats import read_wordlists as read_wordlists
from fengchao_core.sensitive.formats import sample_wordlists as sample_wordlists
from fengchao_core.sensitive.hits import Hit as Hit
from fengchao_core.sensitive.hits import Reason as Reason
from fengchao_core.sensitive.hits import Screened as Screened
from fengchao_core.sensitive.lexicon import Lexicon as Lexicon
from fengchao_core.sensitive.screen import StreamScreen as StreamScreen
from fengchao_core.sensitive.words import Action as Action
from fengchao_core.sensitive.words import WordList as WordList
