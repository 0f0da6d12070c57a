"""Stable Diffusion and DiT, tiny and of random weights, saved in the real folder format: the whole pipeline loads and runs them, and agrees with diffusers' own pipelines."""
import json
import diffusers, pytest, torch
from dd_nb.core import DDError, generator
from dd_nb.data import ImageData, Space, load_data
from dd_nb.loop import distill, method_config
from dd_nb.methods.codecs import DDIM, codec_plan, regenerate

QUIET = dict(teacher="mlp", teacher_steps=30, parts=2, passes=2, decode_steps=5, precision="float32")

def vae():
    kw = dict(down_block_types=["DownEncoderBlock2D"]*2, up_block_types=["UpDecoderBlock2D"]*2, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4)
    return diffusers.AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, sample_size=16, scaling_factor=.18215, **kw)

def tokenizer(folder):
    "A vocabulary of letters, as CLIP's files are written."
    from transformers import CLIPTokenizer
    folder.mkdir(parents=True)
    letters = [c + e for e in ("", "</w>") for c in "abcdefghijklmnopqrstuvwxyz0123456789,"]
    (folder/"vocab.json").write_text(json.dumps({w: i for i, w in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}))
    (folder/"merges.txt").write_text("#version: 0.2\n")
    (folder/"tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="CLIPTokenizer", model_max_length=12, bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>", unk_token="<|endoftext|>")))
    return CLIPTokenizer.from_pretrained(folder)

@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    "A Stable Diffusion, as `save_pretrained` writes it."
    from transformers import CLIPTextConfig, CLIPTextModel
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    tokens = tokenizer(folder/"words")
    text = CLIPTextModel(CLIPTextConfig(vocab_size=len(tokens), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=12, projection_dim=16))
    unet = diffusers.UNet2DConditionModel(sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    noise = diffusers.PNDMScheduler(beta_start=.00085, beta_end=.012, beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True, set_alpha_to_one=False)      # what v1-5 comes with
    diffusers.StableDiffusionPipeline(vae(), text, tokens, unet, noise, None, None, requires_safety_checker=False).save_pretrained(folder/"sd")
    return folder/"sd"

@pytest.fixture(scope="module")
def dit(tmp_path_factory):
    "A DiT of ImageNet's thousand classes with learned variance, and an autoencoder of its own in another folder."
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    net = diffusers.DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8, patch_size=2, num_embeds_ada_norm=1000, norm_num_groups=4)
    for p in net.parameters(): torch.nn.init.normal_(p, std=.1) if p.dim() > 1 else None        # a fresh DiT names no noise at all
    diffusers.DiTPipeline(net, vae(), diffusers.DDIMScheduler(beta_schedule="linear", clip_sample=False)).save_pretrained(folder/"dit")
    vae().save_pretrained(folder/"vae")
    return folder

def some(codec, n=6):
    rng = generator(0)
    return torch.randn(n, *codec.latent, generator=rng), torch.arange(n) % 10, torch.randn(n, *codec.latent, generator=rng)

def test_our_sampler_is_diffusers_ddim():
    theirs, ours, rng = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing"), DDIM(), generator(0)
    for steps in (4, 8, 20, 50):                    # where 1000 does not divide, theirs steps to times that it does not visit
        theirs.set_timesteps(steps)
        ts = ours.timesteps(steps)
        assert ts == theirs.timesteps.tolist()
        z = a = torch.randn(3, 4, 2, 2, generator=rng)
        for t, before in zip(ts, ts[1:] + [-1]):
            out = torch.randn(z.shape, generator=rng)
            assert torch.allclose(ours.add_noise(z, out, t), theirs.add_noise(z, out, torch.tensor([t]*3)), atol=1e-5)
            z, a = ours.step(out, t, before, z), theirs.step(out, t, a, eta=0.).prev_sample
            assert torch.allclose(z, a, rtol=1e-3, atol=1e-3*float(a.abs().max()))

def test_stable_diffusion_as_its_own_pipeline(sd):
    "The img2img pipeline of diffusers on the same latents, noise, prompts and guidance."
    data = load_data("digits")
    codec = codec_plan(f"sd:model={sd}").open(data)
    z, y, noise = some(codec, 4)
    pipe = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(sd, safety_checker=None, requires_safety_checker=False)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    same = torch.randn(4, *codec.latent, generator=torch.Generator().manual_seed(5))
    for strength, guidance in ((.7, 8.), (.35, 1.)):
        theirs = pipe([data.classes[k] for k in y], image=z, strength=strength, guidance_scale=guidance, num_inference_steps=10, negative_prompt=["cartoon, anime, painting"]*4,
                      generator=torch.Generator().manual_seed(5), output_type="latent").images
        ours = regenerate(codec, z, y, same, strength, guidance, 10)
        assert torch.allclose(ours, theirs, atol=1e-4) and not torch.allclose(ours, z, atol=.1)

def test_names_from_a_file_are_the_prompts(sd, tmp_path):
    "ImageNet's folders are numbers; what they are called stands in a file, in any order."
    from dataclasses import replace
    data = load_data("digits")
    numbers, words = [f"n{k:08}" for k in range(10)], [f"{c} as drawn" for c in data.classes]
    (tmp_path/"names.txt").write_text("".join(f"{n} {w}\n" for n, w in reversed(list(zip(numbers, words)))))
    codec = codec_plan(f"sd:model={sd};names={tmp_path/'names.txt'}").open(replace(data, classes=numbers))
    assert torch.equal(codec.said[:-1], codec.say(words)) and not torch.equal(codec.said[0], codec.said[1])
    with pytest.raises(DDError, match="are called n00000000 and so on.*sd:names=FILE"): codec_plan(f"sd:model={sd}").open(replace(data, classes=numbers))

def test_dit_as_its_own_pipeline(dit):
    "The pipeline of diffusers makes images from noise only: strength 1."
    codec = codec_plan(f"dit:model={dit/'dit'},vae=,numbers=207 1 2 3 4 5 6 7 8 999").open(load_data("digits"))
    pipe = diffusers.DiTPipeline.from_pretrained(dit/"dit")
    pipe.set_progress_bar_config(disable=True)
    theirs = torch.from_numpy(pipe([207, 999], guidance_scale=4., num_inference_steps=8, generator=torch.Generator().manual_seed(3), output_type="np").images).permute(0, 3, 1, 2)
    noise = torch.randn(2, *codec.latent, generator=torch.Generator().manual_seed(3))
    z = regenerate(codec, torch.zeros(2, *codec.latent), torch.tensor([0, 9]), noise, 1., 4., 8)
    ours = (codec.vae.decode(z/codec.factor).sample/2 + .5).clamp(0, 1)
    assert torch.allclose(ours, theirs, atol=2e-3)

@pytest.mark.parametrize("kind", ["sd", "dit"])
def test_the_whole_pipeline(kind, sd, dit, tmp_path):
    text = f"sd:model={sd}" if kind == "sd" else f"dit:model={dit/'dit'},vae={dit/'vae'}"
    data = load_data("digits")
    run = distill("ddoq", data, ipc=2, root=tmp_path, progress=False, codec=text, **QUIET)
    d = run.distilled
    assert d.latents.shape == (20, 4, 8, 8) and run.state == "done" and d.decoder["name"] == text and len(d.decoder["hash"]) == 10 and d.decoder["bytes"] > 10_000
    assert torch.allclose(d.mass.sum(1), torch.ones(10)) and (d.mass[:, 0] >= d.mass[:, 1]).all() and d.pixels.float().std() > 0 and d.label_kind == "soft"
    codec = codec_plan(text).open(data)
    plain = distill("ddoq", data, ipc=2, root=tmp_path, progress=False, codec=text, **(QUIET | dict(strength=0.))).distilled
    assert torch.equal(plain.latents, d.latents)                                                           # the same centroids,
    want = codec.vae.decode(plain.latents/codec.factor).sample                                             # and strength 0 is their plain picture
    want = torch.nn.functional.interpolate((want/2 + .5).clamp(0, 1), (8, 8), mode="bilinear", antialias=True).mean(1, keepdim=True)
    assert (plain.pixels/255 - want).abs().max() < .003 and not torch.equal(plain.pixels, d.pixels)
    zt = distill("ddoq", data, ipc=2, root=tmp_path, progress=False, codec=text, **(QUIET | dict(quantise_at="zt"))).distilled
    assert not torch.equal(zt.latents, d.latents) and zt.pixels.float().std() > 0

@pytest.mark.parametrize("kind", ["sd", "dit"])
def test_strength_and_encoding(kind, sd, dit):
    data = load_data("digits")
    codec = codec_plan(f"sd:model={sd}" if kind == "sd" else f"dit:model={dit/'dit'},vae=").open(data)
    z, y, noise = some(codec)
    at = lambda s, z, y: regenerate(codec, z, y, noise, s, 3., 6)
    assert torch.equal(at(0., z, y), z) and torch.equal(at(1., z, y), at(1., z.flip(0), y))
    assert not torch.allclose(at(1., z, y), at(1., z, y.flip(0)), atol=1e-6) and not torch.allclose(at(.5, z, y), at(.5, z.flip(0), y), atol=.1)
    x = data.x_train[:3]
    px = torch.nn.functional.interpolate(x.float().expand(-1, 3, -1, -1)/127.5 - 1, 16, mode="bilinear", antialias=True)
    law = codec.vae.encode(px).latent_dist
    assert torch.allclose(codec.encode(x), law.mode()*.18215, atol=1e-6)
    drawn = codec_plan(codec.plan.text + ",posterior=sample").open(data)
    a = drawn.encode(x)
    assert torch.equal(a, drawn.encode(x)) and ((a/.18215 - law.mode())/law.std).std() == pytest.approx(1, abs=.15) and drawn.key != codec.key

def test_what_is_wrong_is_said_at_once(sd, dit, tmp_path, monkeypatch):
    data = load_data("digits")
    def refused(words, codec, **kw):
        with pytest.raises(DDError, match=words): distill("ddoq", data, root=tmp_path/"runs", progress=False, codec=codec, **kw)
    refused("no folder .*nowhere", f"sd:model={tmp_path}/nowhere")
    refused("no unet, text_encoder, tokenizer in", f"sd:model={dit/'dit'}")
    refused("no transformer in", f"dit:model={sd},vae=")
    refused("knows 1000 classes, and dit:numbers names 1000", f"dit:model={dit/'dit'},vae=,numbers=0 1 2 3 4 5 6 7 8 1000")
    monkeypatch.setenv("DD_NB_DOWNLOAD", "false")
    refused("is not on this machine, and the settings forbid downloads", "sd:model=nobody/nothing")
    import shutil
    shutil.copytree(sd, tmp_path/"bad")
    file = next((tmp_path/"bad"/"unet").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    refused("unet", f"sd:model={tmp_path/'bad'}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None)
    refused(r"needs diffusers and transformers: pip install 'dd-nb\[diffusion\]'", f"sd:model={sd}")
    assert not list((tmp_path/"runs").glob("*/metrics.jsonl"))

def test_torchvision_teacher(tmp_path, monkeypatch):
    "The papers' teacher: ImageNet's weights from torch's own cache (random ones here), for a set of a thousand classes."
    import torchvision
    net = torchvision.models.resnet18()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path/"torch"))
    (tmp_path/"torch"/"hub"/"checkpoints").mkdir(parents=True)
    torch.save(net.state_dict(), tmp_path/"torch"/"hub"/"checkpoints"/torchvision.models.ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1])
    x = torch.randint(0, 256, (1000, 3, 16, 16), generator=generator(0), dtype=torch.uint8)
    data = ImageData("thousand", x, torch.arange(1000), x[:10], torch.arange(10), [f"c{i}" for i in range(1000)], Space("meanstd", (.5,)*3, (.25,)*3))
    from dd_nb.methods.prototypes import teacher_of
    t = teacher_of(method_config("d4m", codec="pca", strength=0., teacher="torchvision:resnet18"), data, tmp_path, "cpu")
    px = torch.nn.functional.interpolate(x[:2]/255, 224, mode="bilinear", antialias=True)
    want = net.eval()((px - torch.tensor([.485, .456, .406]).view(1, 3, 1, 1))/torch.tensor([.229, .224, .225]).view(1, 3, 1, 1))
    assert torch.allclose(t(data.get("train", torch.arange(2))), want, atol=1e-3)
    with pytest.raises(DDError, match="knows ImageNet's 1000 classes, digits has 10"): distill("d4m", "digits", root=tmp_path, codec="pca", strength=0., teacher="torchvision:resnet18", progress=False)
