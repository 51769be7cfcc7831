"""The public names, written down: taking one away or adding one is a decision, not an accident."""

import importlib
import inspect
import sys

import pytest

PUBLIC = {
    "hashnet": """
        Balls Index LayoutOptions Neighbors __version__ check_codes errors merge_balls merge_neighbors
        open_codes open_index pack unpack
        """,
    "hashnet.baselines": "BRE FeatureHash ITQ ITQCCA KSH LSH SDH SH",
    "hashnet.cli": "app main",
    "hashnet.comparison": """
        CannotFitError CompareSettings Comparison Features Job Result Runs Sides compare_methods extract
        feature_identity features_of measure_methods own_sides protocol_sides
        """,
    "hashnet.datasets": """
        PROTOCOLS QUERY_SPLIT TRAIN_SPLIT ArrayImages Batch Entry FileImages ImagePack ImageSet ImageStream
        LabelLists MosaicImages Protocol ProtocolData Reject Split check_multi_hot check_pixels decode_image
        load_digits load_image one_hot open_folder open_images open_label_lists open_list open_protocol
        open_source read_batch split
        """,
    "hashnet.distributed": """
        Answer ReplicaHealth ServiceSettings ShardHealth ShardedIndex Watch build_with_ray create_app
        encode_with_ray ensure_ray ray_cluster search_to_file train_with_ray
        """,
    "hashnet.encoding": """
        CodeShard CodeStore EncodedRows Encoder RejectedRow add_to_index build_index encode_to_store
        """,
    "hashnet.evaluation": """
        BitStatistics ClassFigures Comparison CrosscheckReport Evaluation GridItem GridRow Interval Mismatch
        Page PrecisionRecall Ranking average_precision_within_each bit_statistics bits_figure
        bootstrap_means class_table cosine_map count_codes count_distinct crosscheck distance_figure
        empty_balls evaluate evaluate_protocol expected_precision_at_each gap_figure latency_figure
        loss_figure map_within mean_average_precision mean_interval neighbour_recall pack_labels
        precision_at precision_at_figure precision_recall precision_recall_figure precision_within
        precision_within_each query_figures rank recall_at recall_at_figure recall_within recall_within_each
        retrieval_grid retrieval_grid_svg true_neighbours tsne_figure
        """,
    "hashnet.index": """
        Index IndexStats LayoutOptions Plan SegmentLayout SegmentPlan open_codes open_index
        """,
    "hashnet.losses": """
        CNNH CSQ DHN DNNH DPN DPSH GreedyHash HashNet HashNetLoss HashNetSgn LossSettings OBJECTIVES
        Objective OrthoHash PairCounts PairWeights TrainingSet build_objective complete_settings count_pairs
        pair_weights
        """,
    "hashnet.models": """
        BACKBONES IMAGENET_MEAN IMAGENET_STD BackboneInfo HashHead HashNetwork Model NetworkConfig
        Preprocessing backbone_info build_backbone build_network describe_export export_onnx export_torch
        fingerprint load_model model_card record_evaluation record_protocol relaxed save_model
        training_protocol write_card
        """,
    "hashnet.progress": "NO_PROGRESS BarProgress JsonProgress NoProgress Progress ProgressMode make_progress",
    "hashnet.training": "FeatureInputs StageMetrics TrainConfig TrainResult extract_features read_config "
    "train write_config",
}
ERRORS = {
    "HashnetError": "Exception",
    "DamagedError": "HashnetError",
    "ErrorRateError": "HashnetError",
    "FingerprintError": "HashnetError",
    "IncompleteError": "HashnetError",
    "LockedError": "HashnetError",
    "ReadOnlyError": "HashnetError",
    "ResumeError": "HashnetError",
    "SourceChangedError": "HashnetError",
    "UnreadableImageError": "HashnetError",
    "HashnetWarning": "UserWarning",
    "CollapseWarning": "HashnetWarning",
}
INDEX_METHODS = """
    add check close count_radius create explain export fingerprint ids in_memory keys_of metadata n_bits path
    refresh search search_radius stats
    """
SHARDED_METHODS = """
    add_replica check close count_radius explain fingerprint from_codes health keys_of move_replica n_bits
    open path remove_replica search search_radius shard_sizes swap
    """


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_those_written_down(package):
    assert sorted(importlib.import_module(package).__all__) == sorted(PUBLIC[package].split())


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_exists(package):
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_class_and_function_is_documented(package):
    module = importlib.import_module(package)
    bare = [
        name
        for name in module.__all__
        if (inspect.isclass(thing := getattr(module, name)) or inspect.isfunction(thing))
        and not inspect.getdoc(thing)
    ]
    assert bare == []


# hashnet.progress is for callers that watch a job, and imported by its own name.
@pytest.mark.parametrize("package", sorted(set(PUBLIC) - {"hashnet", "hashnet.progress"}))
def test_every_package_is_an_attribute_of_hashnet(package):
    import hashnet

    assert getattr(hashnet, package.removeprefix("hashnet.")) is sys.modules[package]


@pytest.mark.parametrize("name", ERRORS)
def test_errors_stand_where_they_are_caught(name):
    from hashnet import errors

    assert getattr(errors, name).__bases__[0].__name__ == ERRORS[name]


def test_no_error_is_missing_from_the_list():
    from hashnet import errors

    own = [n for n, v in vars(errors).items() if inspect.isclass(v) and issubclass(v, Exception | Warning)]
    assert sorted(own) == sorted(ERRORS)


def public_members(cls):
    return sorted(name for name in dir(cls) if not name.startswith("_"))


def test_an_index_has_these_methods():
    from hashnet import Index

    assert public_members(Index) == sorted(INDEX_METHODS.split())


def test_a_sharded_index_has_these_methods():
    from hashnet.distributed import ShardedIndex

    assert public_members(ShardedIndex) == sorted(SHARDED_METHODS.split())


def test_an_unknown_name_is_an_attribute_error():
    import hashnet

    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = hashnet.nonsense
