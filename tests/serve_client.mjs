// OpenAI's JavaScript client over every route: node serve_client.mjs BASE_URL VIDEO_ID (a finished one). Ends with "all routes".
import assert from "node:assert";
import OpenAI, { toFile } from "openai";

const [baseURL, first] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "anything", maxRetries: 0 });
const small = { size: "64x64", seconds: "0.25" };

const made = await client.videos.create({ prompt: "a red ball falls", model: "sora-2", ...small });
assert.equal(made.object, "video");
const done = async (id) => {
  for (;;) {
    const video = await client.videos.retrieve(id);
    if (video.status === "completed" || video.status === "failed") return video;
    await new Promise((next) => setTimeout(next, 100));
  }
};
assert.equal((await done(made.id)).status, "completed");

const content = await client.videos.downloadContent(first);
const bytes = Buffer.from(await content.arrayBuffer());
assert.equal(bytes.subarray(4, 8).toString(), "ftyp");
const picture = Buffer.from(await (await client.videos.downloadContent(first, { variant: "spritesheet" })).arrayBuffer());
assert.equal(picture.readUInt16BE(0), 0xffd8);
const url = `data:image/jpeg;base64,${picture.toString("base64")}`;

const named = await client.videos.create({ prompt: "a ball", input_reference: { image_url: url }, ...small });
assert.equal(named.has_image, true);
const sent = await client.videos.create({ prompt: "a ball", input_reference: await toFile(picture, "it.jpg"), ...small });
assert.equal(sent.has_image, true);
const remix = await client.videos.remix(first, { prompt: "a blue ball falls" });
assert.equal(remix.remixed_from_video_id, first);
const edit = await client.videos.edit({ prompt: "a green ball falls", video: { id: first } });
const extension = await client.videos.extend({ prompt: "it rolls", seconds: "0.25", video: { id: first } });
const extended = await client.videos.extend({ prompt: "it rolls", seconds: "0.25", video: await toFile(bytes, "it.mp4") });
assert.equal(extension.seconds, "0.5");
for (const video of [named, sent, remix, edit, extension, extended]) {
  assert.equal((await client.videos.delete(video.id)).deleted, true);
}
const character = await client.videos.createCharacter({ name: "Ada", video: await toFile(bytes, "ada.mp4") });
assert.equal((await client.videos.getCharacter(character.id)).name, "Ada");
let count = 0;
for await (const video of client.videos.list({ limit: 2 })) count += video.object === "video";
assert.ok(count > 2);
await assert.rejects(client.videos.retrieve("video_nothing"), OpenAI.NotFoundError);
await assert.rejects(client.videos.create({ prompt: "", ...small }), OpenAI.BadRequestError);
console.log("all routes");
