"""Word pieces: our length and padding, whatever the file presets."""

import json
from pathlib import Path

import pytest

from encoders.words import LONGEST, VOCABULARY, Words
from schemas.errors import ReleaseMismatch, ReleaseNotFound


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of MiniLM's shape with a vocabulary of few words, which presets 128 as the published file does."""
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    path.write_text(json.dumps(small_tokenizer(VOCABULARY)))
    return path


def small_tokenizer(size: int) -> dict[str, object]:
    words = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "flood": 103, "##ed": 104, "area": 105}
    taken = set(words.values())
    filler = {f"[unused{index}]": index for index in range(size) if index not in taken}
    special = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    return {
        "version": "1.0",
        "truncation": {"max_length": 128, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {
            "strategy": {"Fixed": 128},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special[0], {"Sequence": {"id": "A", "type_id": 0}}, special[1]],
            "pair": [special[0], {"Sequence": {"id": "A", "type_id": 0}}, special[1]],
            "special_tokens": {
                name: {"id": name, "ids": [token], "tokens": [name]} for name, token in (("[CLS]", 101), ("[SEP]", 102))
            },
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": words | filler,
        },
    }


def test_batch_is_padded_to_its_longest_sentence(tokenizer_json: Path) -> None:
    ids, mask = Words(tokenizer_json).ids(["Flooded AREA", "flood"])
    assert ids.tolist() == [[101, 103, 104, 105, 102], [101, 103, 102, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert (ids.dtype, mask.dtype) == ("int64", "int64")


def test_text_past_the_longest_length_is_not_read(tokenizer_json: Path) -> None:
    ids, mask = Words(tokenizer_json).ids(["flood " * 200])
    assert ids.shape == mask.shape == (1, LONGEST)
    assert ids[0, -1] == 102


def test_another_alphabet_becomes_unknown_words(tokenizer_json: Path) -> None:
    assert Words(tokenizer_json).ids(["洪水"])[0].tolist() == [[101, 100, 100, 102]]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFound, match="tocsin encoder pull"):
        Words(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x02 pickle"])
def test_not_a_tokenizer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ReleaseMismatch, match="is not a tokenizer"):
        Words(path)


def test_tokenizer_of_another_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(small_tokenizer(200)))
    with pytest.raises(ReleaseMismatch, match="knows 200 word pieces, the text tower 30522"):
        Words(path)
