"""Each kind of document is read, by the process that the gateway reads with."""

import datetime as dt
import io
import zipfile

import openpyxl
import pytest

from fengchao_core.errors import FileRefused

TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
P = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"


def package(**parts):
    """An Office package of these parts; two underscores stand for a slash, `_xml` for the ending."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def docx(body, **more):
    """A Word file with this body."""
    document = f'<?xml version="1.0"?><w:document {W}><w:body>{body}</w:body></w:document>'
    return package(**{"word/document.xml": document, **more})


def pdf(*pages, trailer=b""):
    """A PDF of pages, each of lines of Latin text."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    font = 3
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for lines in pages:
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 %d 0 R >> >> >>" % (len(objects), font)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, trailer, start,
    )  # fmt: skip
    return bytes(out)


def workbook(fill):
    book = openpyxl.Workbook()
    fill(book)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


async def test_word(read):
    """Paragraphs, tabs and breaks, tables by rows, footnotes; nothing of what was deleted."""
    row = "<w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr>"
    body = (
        P.format("第一段")
        + "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
        + "<w:tbl>" + row.format(P.format("格一"), P.format("格二")) + "</w:tbl>"
        + "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    )  # fmt: skip
    note = f"<w:footnotes {W}><w:footnote>{P.format('脚注')}</w:footnote></w:footnotes>"
    text = (await read("a.docx", docx(body, **{"word/footnotes.xml": note}))).text
    assert "第一段\na\tb\nc\n" in text
    assert ["格一", "格二"] == text.splitlines()[3].split()
    assert "脚注" in text
    assert "gone" not in text


async def test_slides(read):
    """In the order of the presentation, not of the files; with tables and notes."""
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    a = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    relations = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
    one = '<Relationship Id="{}" Target="{}" Type="x"/>'
    shown = f'<p:presentation xmlns:p="p" xmlns:r="{rel}"><p:sldIdLst><p:sldId r:id="r2"/><p:sldId r:id="r1"/></p:sldIdLst></p:presentation>'
    slide = "<p:sld xmlns:p='p' " + a + "><a:p><a:r><a:t>{}</a:t></a:r></a:p></p:sld>"
    content = package(
        **{
            "ppt/presentation.xml": shown,
            "ppt/_rels/presentation.xml.rels": relations.format(
                one.format("r1", "slides/slide1.xml") + one.format("r2", "slides/slide2.xml")
            ),
            "ppt/slides/slide1.xml": slide.format("后面的"),
            "ppt/slides/slide2.xml": slide.format("前面的"),
            "ppt/slides/_rels/slide2.xml.rels": relations.format(
                one.format("n", "../notesSlides/notesSlide1.xml")
            ),
            "ppt/notesSlides/notesSlide1.xml": slide.format("备注"),
        }
    )
    text = (await read("a.pptx", content)).text
    assert ["# 1", "前面的", "备注", "# 2", "后面的"] == text.split("\n\n")[0].split(
        "\n"
    ) + text.split("\n\n")[1].split("\n")


async def test_sheets(read):
    """Sheets by name, rows with their values; dates as such, formulas by what was saved, empty rows left out."""

    def fill(book):
        sheet = book.active
        sheet.title = "价格"
        sheet.append(["品名", "价", None])
        sheet["A4"] = "蜜"
        sheet["B4"] = 12.5
        sheet["C4"] = dt.datetime(2026, 11, 21)  # noqa: DTZ001  # a cell has no zone
        book.create_sheet("空")

    text = (await read("a.xlsx", workbook(fill))).text
    assert "# 价格\n品名\t价\n蜜\t12.5\t2026-11-21" in text
    assert "# 空" in text


async def test_pdf(read):
    """Page by page."""
    text = (await read("a.pdf", pdf(["First page", "second line"], ["Last page"]))).text
    assert "First page\nsecond line\n\nLast page" == text


async def test_pages(read):
    """The visible text of a page, in the encoding that it declares."""
    page = (
        "<!DOCTYPE html><html><head><meta charset=gb2312><title>标题</title><style>p{}</style>"
        "<script>var x = '<p>no</p>'</script></head><body><h1>你&amp;我</h1><p>一<b>二</b>三</p>"
        "<template>no</template><!-- no --><table><tr><td>甲</td><td>乙</td></tr></table></body></html>"
    ).encode("gb2312")
    text = (await read("a.html", page)).text
    assert ["标题", "你&我", "一二三", "甲 乙"] == [
        " ".join(line.split()) for line in text.split("\n\n")
    ]


async def test_long_documents_are_cut(read):
    """At the limit of the settings, and said so."""
    text = await read("a.docx", docx(P.format("字" * 5000)), max_text_chars=1000)
    assert ("字" * 1000, True) == (text.text, text.is_cut)
    text = await read("a.docx", docx(P.format("字" * 999)), max_text_chars=1000)
    assert ("字" * 999, False) == (text.text, text.is_cut)


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'


def bombed(book):
    book.active["A1"] = "x"


def with_doctype():
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(bombed))) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                content = BOMB.encode() + content.partition(b"?>")[2] or content
            new.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.docx", package(**{"word/document.xml": f"{BOMB}<d>&b;</d>"}), "unsafe"),
        ("a.docx", package(**{"word/document.xml": f"{BOMB}<d>&b;</d>".encode("utf-16")}), "unsafe"),
        ("a.docx", package(**{"word/document.xml": "<w:p><not closed"}), "broken"),
        ("a.docx", package(**{"word/document.xml": "no xml"}), "broken"),
        ("a.docx", package(**{"word/document.xml": b""}), "broken"),
        ("a.docx", docx(""), "no_text"),
        ("a.docx", docx("<w:p>" * 5000 + "</w:p>" * 5000), "no_text"),
        ("a.xlsx", package(**{"xl/workbook.xml": "<x/>"}), "broken"),
        ("a.pptx", package(**{"ppt/presentation.xml": "<x/>"}), "no_text"),
        ("a.pdf", b"%PDF-1.7\nnothing more", "broken"),
        ("a.pdf", pdf([""]), "no_text"),
        ("a.pdf", pdf(["x"], trailer=b"/Encrypt << /Filter /Standard /V 1 /R 2 /O (" + b"o" * 32 + b") /U (" + b"u" * 32 + b") /P -4 >> /ID [(a)(a)]"), "encrypted"),
        ("a.html", b"<html><script>only</script></html>", "no_text"),
    ],
)  # fmt: skip
async def test_hostile_and_broken_documents_are_refused(read, name, content, reason):
    """Each with its reason; nothing but a refusal comes of it."""
    with pytest.raises(FileRefused) as caught:
        await read(name, content)
    assert reason == caught.value.reason


async def test_a_sheet_with_a_document_type_is_refused(read):
    """Openpyxl never sees it."""
    with pytest.raises(FileRefused) as caught:
        await read("a.xlsx", with_doctype())
    assert "unsafe" == caught.value.reason


async def test_a_document_that_takes_too_long_is_given_up(read):
    """An empty cell at the end of each of many rows: little to store, nothing to tell, a year to read."""
    cells = "".join(f'<row r="{n}"><c r="XFD{n}"/></row>' for n in range(1, 60_000))
    sheet = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{cells}</sheetData></worksheet>'
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(bombed))) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else old.read(name))
    with pytest.raises(FileRefused) as caught:
        await read("a.xlsx", buffer.getvalue(), reader_timeout_s=1.0)
    assert "too_complex" == caught.value.reason
