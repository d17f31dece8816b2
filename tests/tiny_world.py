"""A World of an untrained model that draws its things: what goes in decides what comes out, and nothing more."""

from dataclasses import replace

import torch

from reverie.model.tokenizer import PRESETS, Tokenizer
from reverie.model.transformer import Config, Transformer
from reverie.train.bodies import taught
from reverie.world import World


def tiny_world(**meta) -> World:
    """Of 64x64 pixels; meta: what its file would say besides."""
    torch.manual_seed(0)
    model = Transformer(Config(depth=2, channels=8, slots=4)).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    tokenizer = Tokenizer(replace(PRESETS["tiny"], canvas=8)).eval()
    taught(tokenizer.canvas)
    return World(tokenizer, model, {"size": [64, 64], **meta}, "hash", "tiny")
