"""List files: CSV and the text lists of the HashNet release, and the line that is wrong in them."""

import pytest
from PIL import Image

from hashnet.datasets import open_images


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_csv_with_one_label_a_row(write):
    images = open_images(write("a.csv", 'path,label\nx.jpg,dog\n"y,1.jpg",cat\nz.jpg,\n'))
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert images.key(1) == "y,1.jpg"


def test_a_csv_with_several_labels_a_row(write):
    images = open_images(write("a.csv", "path,labels\nx.jpg,dog;cat\ny.jpg,cat|bird\nz.jpg,\n"))
    assert images.classes == ("bird", "cat", "dog")
    assert images.labels.tolist() == [[0, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_numeric_classes_are_sorted_as_numbers(write):
    assert open_images(write("a.csv", "path,label\na,10\nb,9\n")).classes == ("9", "10")


def test_a_csv_may_prescribe_the_split(write):
    images = open_images(write("a.csv", "path,label,split\na,1,train\nb,1,test\nc,1,query\nd,1,0\n"))
    assert images.splits.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("held_out", ["val", "valid", "validation"])
def test_validation_rows_are_queries_where_nothing_else_is(write, held_out):
    images = open_images(write("a.csv", f"path,label,split\na,1,train\nb,1,{held_out}\n"))
    assert images.splits.tolist() == [0, 1]


@pytest.mark.parametrize("header", ["file,class", "Filename,Label", "image_path , tags"])
def test_usual_names_of_the_columns_are_known(write, header):
    images = open_images(write("a.csv", f"{header}\nx.jpg,dog\ny.jpg,cat\n"))
    assert (images.key(0), images.classes) == ("x.jpg", ("cat", "dog"))


@pytest.mark.parametrize("mark", ["\t", ";"])
def test_fields_may_be_parted_by_tabs_and_semicolons(write, mark):
    text = f"path{mark}labels\nx, y.jpg{mark}dog|cat\ny.jpg{mark}cat\n"
    images = open_images(write("a.csv", text))
    assert images.key(0) == "x, y.jpg"
    assert images.labels.tolist() == [[1, 1], [1, 0]]


def test_a_tsv_is_a_csv_with_tabs(write):
    assert open_images(write("a.tsv", "path\tlabel\nx.jpg\tdog\n")).classes == ("dog",)


def test_an_unlabelled_list_may_repeat_an_image(write):
    assert len(open_images(write("a.csv", "path\na.jpg\na.jpg\n"))) == 2


def test_a_csv_with_paths_alone_is_unlabelled(write):
    assert open_images(write("a.csv", "\ufeffpath\na.jpg\n")).labels is None


def test_a_hashnet_list_has_one_column_a_class(write):
    images = open_images(write("a.txt", "x/1.jpg 0 1 0\nmy cat.jpg 1 1 0\n"))
    assert images.labels.tolist() == [[0, 1, 0], [1, 1, 0]]
    assert images.classes == ("0", "1", "2")
    assert images.key(1) == "my cat.jpg"


def test_a_single_column_is_a_class_number(write):
    assert open_images(write("a.txt", "a.jpg 2\nb.jpg 0\n")).labels.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_list_of_paths_alone_is_unlabelled(write):
    assert open_images(write("a.txt", "a.jpg\n\nb.jpg\n")).labels is None


def test_paths_begin_in_the_folder_of_the_list_or_in_image_root(write, tmp_path):
    listed = write("a.txt", "x.png\n")
    Image.new("RGB", (3, 2)).save(tmp_path / "x.png")
    (tmp_path / "root").mkdir()
    Image.new("RGB", (5, 4)).save(tmp_path / "root/x.png")
    assert open_images(listed).load(0).size == (3, 2)
    assert open_images(listed, image_root=tmp_path / "root").load(0).size == (5, 4)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "path,label\na.jpg,1\nb.jpg\n", r"line 3: 1 fields, the header has 2 \(path,label\)"),
        ("a.csv", "path,label\na,b,c\n", "line 2: 3 fields.*quote fields"),
        ("a.csv", "url,label\na.jpg,1\n", "line 1: the header is 'url,label', wanted is path,label"),
        ("a.csv", "path,lable\na.jpg,1\n", "rename or remove other columns"),
        ("a.csv", "path,file\na.jpg,1\n", "line 1: the header is 'path,file'"),
        ("a.csv", "path;label\na;b;c\n", "line 2: 3 fields.*contain a semicolon"),
        ("a.csv", "path,label\na.jpg,1\nb.jpg,1\na.jpg,2\n", "line 4: a.jpg is in line 2 already; give an"),
        (
            "a.csv",
            "path,split\na,train\nb,val\nc,test\n",
            "splits test, val, and queries are one of",
        ),
        ("a.csv", "a.jpg 0 1\n", "line 1: the header is"),
        ("a.csv", "", "line 1: the header is ''"),
        ("a.csv", "path,label\n", "lists no images"),
        ("a.csv", "path,label\n,1\n", "line 2: the path is ''"),
        ("a.csv", 'path,label\n"a,1\n', "not CSV"),
        ("a.csv", "path,split\na,later\n", "line 2: split is 'later', wanted is one of 0, train"),
        ("a.txt", "a.jpg 0 1\nb.jpg 0\n", "line 2: wanted a path and 2 numbers"),
        ("a.txt", "a.jpg 0 1\nb.jpg x 1\n", "line 2: wanted a path and 2 numbers"),
        ("a.txt", "a.jpg 0 1\nb.jpg 0 2\n", "line 2: labels must be 0 or 1"),
        ("a.txt", "a.jpg 999999999\n", "class number 999999999 is too large"),
        ("a.txt", "\n", "lists no images"),
    ],
)
def test_a_bad_line_is_named_with_the_rule(write, name, text, message):
    with pytest.raises(ValueError, match=message):
        open_images(write(name, text))


def test_a_list_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        open_images(tmp_path / "a.csv")
