"""Tiny pipelines of the open video models with random weights, built without a hub and saved as folders.

``build(name, folder)`` makes one of NAMES; ``python tests/tiny_pipelines.py FOLDER`` all of them. They paint noise, but
they are the real classes: every shape, config and call is as in the big ones.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PACKAGES = Path(__file__).with_name("fake_packages")  # on the path before diffusers is imported: Cosmos asks for one
sys.path.append(str(PACKAGES))

WORDS = ("a", "red", "blue", "ball", "box", "falls", "rolls", "on", "the", "table", "and", "bounces", "dog", "in", ".")
DIM = 16  # of the text


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("<pad>", "</s>", "<unk>", "<s>")
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate((*special, *WORDS))}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
                                   bos_token="<s>", model_max_length=77)


def _t5(umt5=False):
    import transformers

    kind = "UMT5" if umt5 else "T5"
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, d_model=DIM, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu")
    return getattr(transformers, f"{kind}EncoderModel")(config)


def _clip_vision(side=32, patch=8):
    import transformers

    return transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(
        hidden_size=DIM, projection_dim=DIM, num_hidden_layers=2, num_attention_heads=2, image_size=side,
        intermediate_size=16, patch_size=patch))


def _clip_pictures():
    import transformers

    return transformers.CLIPImageProcessorPil(crop_size=32, size=32)


def _wan_vae():
    import diffusers

    return diffusers.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
                                      temperal_downsample=[False, True, True])


def _wan(diffusers, kind="WanTransformer3DModel", **more):
    config = dict(patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
                  text_dim=DIM, freq_dim=32, ffn_dim=16, num_layers=2, cross_attn_norm=True, rope_max_seq_len=64)
    return dict(transformer=getattr(diffusers, kind)(**{**config, **more}), vae=_wan_vae(), tokenizer=_tokenizer(),
                text_encoder=_t5(umt5=True), scheduler=diffusers.UniPCMultistepScheduler(
                    prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0))


def _ltx(diffusers):
    return dict(
        transformer=diffusers.LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
            num_layers=1, caption_channels=DIM),
        vae=diffusers.AutoencoderKLLTXVideo(
            latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1)),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), text_encoder=_t5(), tokenizer=_tokenizer())


def _cogvideox(diffusers, channels=16, **more):
    return dict(
        transformer=diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=channels, out_channels=16, time_embed_dim=2,
            text_embed_dim=DIM, num_layers=1, sample_width=8, sample_height=6, sample_frames=9, patch_size=2,
            temporal_compression_ratio=4, max_text_seq_length=226, use_rotary_positional_embeddings=True, **more),
        vae=diffusers.AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8), latent_channels=16, layers_per_block=1, norm_num_groups=2,
            temporal_compression_ratio=4),
        scheduler=diffusers.CogVideoXDDIMScheduler(), text_encoder=_t5(), tokenizer=_tokenizer())


def _hunyuan(diffusers):
    import transformers

    words = dict(vocab_size=64, bos_token_id=3, eos_token_id=1, pad_token_id=0)
    llama = transformers.LlamaModel(transformers.LlamaConfig(
        hidden_size=DIM, intermediate_size=16, num_attention_heads=2, num_hidden_layers=3, **words))
    clip = transformers.CLIPTextModel(transformers.CLIPTextConfig(
        hidden_size=8, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1, projection_dim=8,
        max_position_embeddings=77, **words))
    return dict(
        transformer=diffusers.HunyuanVideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
            num_single_layers=1, num_refiner_layers=1, text_embed_dim=DIM, pooled_projection_dim=8,
            rope_axes_dim=(2, 4, 4)),
        vae=diffusers.AutoencoderKLHunyuanVideo(
            latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0), text_encoder=llama, tokenizer=_tokenizer(),
        text_encoder_2=clip, tokenizer_2=_tokenizer())


def _svd(diffusers):
    return dict(
        unet=diffusers.UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=8, out_channels=4,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=DIM,
            num_attention_heads=2, projection_class_embeddings_input_dim=96, addition_time_embed_dim=32, num_frames=7),
        vae=diffusers.AutoencoderKLTemporalDecoder(
            block_out_channels=(32,) * 4, down_block_types=("DownEncoderBlock2D",) * 4),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
            prediction_type="v_prediction", use_karras_sigmas=True, timestep_type="continuous",
            timestep_spacing="leading", steps_offset=1, sigma_min=0.002, sigma_max=700.0),
        image_encoder=_clip_vision(224, 56), feature_extractor=_clip_pictures())


def _cosmos(diffusers, channels=5):
    return dict(
        transformer=diffusers.CosmosTransformer3DModel(
            in_channels=channels, out_channels=4, num_attention_heads=2, attention_head_dim=16, num_layers=1,
            mlp_ratio=2, text_embed_dim=DIM, adaln_lora_dim=4, max_size=(8, 32, 32), patch_size=(1, 2, 2),
            rope_scale=(2.0, 1.0, 1.0), concat_padding_mask=False, extra_pos_embed_type="learnable"),
        vae=diffusers.AutoencoderKLCosmos(
            in_channels=3, out_channels=3, latent_channels=4, encoder_block_out_channels=(8, 8, 8, 8),
            decode_block_out_channels=(8, 8, 8, 8), attention_resolutions=(8,), resolution=64, num_layers=1,
            patch_size=4, patch_type="haar", scaling_factor=1.0, spatial_compression_ratio=8,
            temporal_compression_ratio=8),
        scheduler=diffusers.EDMEulerScheduler(
            sigma_min=0.002, sigma_max=80, sigma_data=0.5, sigma_schedule="karras", num_train_timesteps=1000,
            prediction_type="epsilon", rho=7.0, final_sigmas_type="sigma_min"),
        text_encoder=_t5(), tokenizer=_tokenizer())


PIPELINES = {
    "ltx": ("LTXPipeline", _ltx),
    "wan": ("WanPipeline", _wan),
    "wan_ti2v": ("WanPipeline", lambda d: {**_wan(d), "expand_timesteps": True}),
    "wan_i2v": ("WanImageToVideoPipeline", lambda d: {
        **_wan(d, in_channels=36, image_dim=DIM, added_kv_proj_dim=24), "image_encoder": _clip_vision(),
        "image_processor": _clip_pictures()}),
    "wan_ends": ("WanImageToVideoPipeline", lambda d: {
        **_wan(d, in_channels=36, image_dim=DIM, added_kv_proj_dim=24, pos_embed_seq_len=34),
        "image_encoder": _clip_vision(), "image_processor": _clip_pictures()}),
    "vace": ("WanVACEPipeline", lambda d: _wan(d, "WanVACETransformer3DModel", vace_layers=[0], vace_in_channels=96)),
    "cogvideox": ("CogVideoXPipeline", _cogvideox),
    "cogvideox_control": ("CogVideoXFunControlPipeline", lambda d: _cogvideox(d, 32)),
    "hunyuan": ("HunyuanVideoPipeline", _hunyuan),
    "svd": ("StableVideoDiffusionPipeline", _svd),
    "cosmos": ("CosmosVideoToWorldPipeline", _cosmos),
}
NAMES = tuple(PIPELINES)


def build(name: str, folder: Path) -> Path:
    """Save the pipeline ``name`` to ``folder`` and return it."""
    import diffusers
    import torch

    torch.manual_seed(0)
    kind, parts = PIPELINES[name]
    made = {part: value.eval() if isinstance(value, torch.nn.Module) else value
            for part, value in parts(diffusers).items()}
    getattr(diffusers, kind)(**made).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    for each in NAMES:
        build(each, Path(sys.argv[1]) / each)
