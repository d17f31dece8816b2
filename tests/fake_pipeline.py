"""A stand-in for a pipeline of diffusers: a moving pattern whose colours and sharpness drift, made in no time."""

import types

import numpy as np
import torch

from reverie.foreign.asking import ask
from reverie.foreign.memory import Plan
from reverie.foreign.world import ForeignWorld


class FakePipeline:
    """Text or a picture to nine frames at 8 fps. Every frame is the one before, moved a pixel, a little redder, paler
    and softer."""

    drift = 0.0
    calls: list = []
    fail_at: int | None = None  # the call that breaks
    failure: Exception = RuntimeError("a kernel\nhas no image")

    def __init__(self):
        self.vae_scale_factor_temporal, self.vae_scale_factor_spatial = 4, 8
        config = {"patch_size": 1, "num_attention_heads": 2, "attention_head_dim": 8, "sample_frames": 9}
        self.transformer = types.SimpleNamespace(config=config)
        self.vae = types.SimpleNamespace(config={"block_out_channels": (16,)})

    def __call__(self, image=None, prompt=None, height=48, width=64, num_frames=None, fps=8, num_inference_steps=2,
                 generator=None, output_type="np", last_image=None, callback_on_step_end=None,
                 callback_on_step_end_tensor_inputs=("latents",)):
        num_frames = num_frames or self.transformer.config["sample_frames"]
        type(self).calls.append({"prompt": prompt, "image": image, "frames": num_frames, "end": last_image})
        latents = torch.randn(1, 4, 1 + (num_frames - 1) // 4, height // 8, width // 8, generator=generator)
        for step in range(num_inference_steps):
            if self.fail_at == len(self.calls) - 1 and step == 1:
                raise self.failure
            if callback_on_step_end is not None:
                callback_on_step_end(self, step, 0, {"latents": latents})
        if image is None:
            rng = np.random.default_rng(int(latents[0, 0, 0, 0, 0] * 1e3) % 97)
            frame = rng.uniform(60, 180, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1)
            frame = frame + rng.normal(0, 12, (height, width, 3))
        else:
            frame = np.asarray(image, np.float64)
        frames = []
        for _ in range(num_frames):
            frames.append(frame)
            soft = (frame + np.roll(frame, 1, 0) + np.roll(frame, 1, 1)) / 3
            frame = np.roll(frame, 1, 1) * (1 - self.drift) + soft * self.drift
            frame = (frame - 120) * (1 - self.drift / 10) + 120 + self.drift * np.array([9.0, -2.0, -5.0])
        return types.SimpleNamespace(frames=np.stack(frames)[None].clip(0, 255) / 255)


def world(tmp_path, chunk=None, cls=FakePipeline) -> ForeignWorld:
    """It as a World, loaded."""
    cls.calls = []
    plan = Plan(torch.float32, "cpu", "", False, 0, 0)
    return ForeignWorld("fake", tmp_path, ask(cls()), "0123", [], chunk, (cls(), plan))
