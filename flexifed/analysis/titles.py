"""Names as people read them, for tables, figures and the report."""

STRATEGIES = ("standalone", "clustered_fl", "basic_common", "clustered_common", "max_common")
"""The strategies in the order of the paper's Table 1; strategies of your own follow them."""

_TITLES = {
    "clustered_fl": "Clustered-FL",
    "cifar10": "CIFAR-10",
    "cinic10": "CINIC-10",
    "agnews": "AG News",
    "speechcommands": "Speech Commands",
    "speechcommands35": "Speech Commands (35 words)",
    "speechcommands12": "Speech Commands (12 classes)",
    "digits8": "Digits (8 x 8)",
    "femnist": "FEMNIST",
    "emnist": "EMNIST",
    "vgg": "VGG",
    "resnet": "ResNet",
    "charcnn": "CharCNN",
    "vdcnn": "VDCNN",
    "dlrm": "DLRM",
    "mlp": "MLP",
    "cnn": "CNN",
    "conv": "Conv",
    "resnet18": "ResNet-18",
    "resnet18_pretrained": "ResNet-18 (pretrained)",
    "mnist": "MNIST",
    "movielens": "MovieLens-100k",
    "movielens_per_split": "MovieLens-100k (ids per split)",
    "fedavg": "FedAvg",
    "fedadagrad": "FedAdagrad",
    "fedadam": "FedAdam",
    "fedavgm": "FedAvgM",
    "fedprox": "FedProx",
    "fedyogi": "FedYogi",
    "q_fedavg": "q-FedAvg",
    "server_rate": "Server rate",
    "power_of_choice": "Power-of-Choice",
    "elf": "eLF",
    "heterofl": "HeteroFL",
    "heterofl_plain": "HeteroFL without scaler",
    "fedrolex": "FedRolex",
    "personal_users": "Personal users",
    # Settings of a strategy under a name of its own, in config/studies/.
    "oort_fedscale": "Oort (FedScale)",
    "remembered": "Power-of-Choice (remembered)",
    "yogi_fedscale": "FedYogi (FedScale)",
    "yogi_flower": "FedYogi (Flower)",
    "yogi_tff": "FedYogi (TFF)",
    "elf_owners": "eLF (owners)",
    "elf_previous": "eLF (previous layer)",
    "elf_random": "eLF (random)",
    "elf_masks": "eLF with masks",
    "q0": "q-FedAvg (q = 0)",
    "q01": "q-FedAvg (q = 0.1)",
    "q1": "q-FedAvg (q = 1)",
    "q5": "q-FedAvg (q = 5)",
    "q1_training": "q-FedAvg (q = 1, training loss)",
    "q5_training": "q-FedAvg (q = 5, training loss)",
}


def title(name: str) -> str:
    """Title of a data set, family or strategy: `max_common` is Max-Common."""
    return _TITLES.get(name, "-".join(word.capitalize() for word in name.split("_")))


def strategy_rank(strategy: str) -> int:
    """Sort key: the paper's strategies in its order, then all others (a stable sort keeps those in study order)."""
    return STRATEGIES.index(strategy) if strategy in STRATEGIES else len(STRATEGIES)
