// The chats of the packages openai and groq-sdk, and of Vercel's ai, in front of
// each upstream dialect.

'use strict';

const { load, check, same, failing, groups } = require('./checks.cjs');

const OpenAI = load('openai');
const Groq = load('groq-sdk');
const { generateText, streamText, tool, stepCountIs, Output, APICallError } = load('ai');
const { createOpenAI } = load('@ai-sdk/openai');
const { createAnthropic } = load('@ai-sdk/anthropic');
const { z } = load('zod');
const { zodResponseFormat } = load('openai/helpers/zod');

const baseURL = process.env.BASE;
const client = new OpenAI({ apiKey: 'sk-the-callers-own', baseURL, maxRetries: 0 });
const openai = createOpenAI({ apiKey: 'sk-the-callers-own', baseURL });
const anthropic = createAnthropic({ apiKey: 'sk-ant-the-callers-own', baseURL });
const groq = new Groq({ apiKey: 'gsk_the-callers-own', baseURL: baseURL.replace('/v1', ''), maxRetries: 0 });
const messages = [{ role: 'user', content: 'Hello' }];
const wanted = [['stock_level', 'A-9'], ['stock_level', 'B-2']];
const list = {};

for (const d of process.env.DIALECTS.split(' ')) {
    const tools = [{ type: 'function', function: { name: 'stock_level', parameters: { type: 'object', properties: { sku: { type: 'string' } } } } }];
    const said = r => r.choices[0].message;

    for (const [name, sdk, SDK] of [['openai', client, OpenAI], ['groq', groq, Groq]]) {
        const ask = (model, more) => sdk.chat.completions.create({ model: `${d}-${model}`, messages, ...more });

        list[`${name} ${d} chat`] = async () => {
            const r = await ask('text');
            check(`${name} ${d} chat: text`, said(r).content.length > 3, r);
            same(`${name} ${d} chat: end`, r.choices[0].finish_reason, 'stop');
            check(`${name} ${d} chat: usage`, r.usage.total_tokens > 0, r.usage);
        };

        list[`${name} ${d} stream`] = async () => {
            let text = '';
            for await (const part of await ask('stream', { stream: true })) {
                text += part.choices[0] ? part.choices[0].delta.content || '' : '';
            }
            same(`${name} ${d} stream`, text, 'One, two, three.');
        };

        list[`${name} ${d} tools`] = async () => {
            const r = await ask('tools', { tools });
            same(`${name} ${d} tools: calls`, said(r).tool_calls.map(c => [c.function.name, JSON.parse(c.function.arguments).sku]), wanted);
            const again = await ask('tools', { tools, messages: [...messages, said(r),
                ...said(r).tool_calls.map(c => ({ role: 'tool', tool_call_id: c.id, content: '17' }))] });
            check(`${name} ${d} tools: second turn`, said(again).content.length > 3, again);
        };

        list[`${name} ${d} errors`] = async () => {
            for (const [model, type, status] of [['limited', SDK.RateLimitError, 429], ['bad', SDK.BadRequestError, 400], ['nobody', SDK.NotFoundError, 404]]) {
                const e = await failing(() => ask(model));
                check(`${name} ${d} error ${model}: ${type.name}`, e instanceof type, { name: e.constructor.name, message: String(e.message) });
                same(`${name} ${d} error ${model}: status`, e.status, status);
            }
            const e = await failing(async () => { for await (const part of await ask('fails', { stream: true })) { void part; } });
            check(`${name} ${d} error in a stream`, e instanceof SDK.APIError, { name: e.constructor.name, message: String(e.message) });
        };
    }

    const ask = (model, more) => client.chat.completions.create({ model: `${d}-${model}`, messages, ...more });

    list[`openai ${d} tools in a stream`] = async () => {
        const r = await client.chat.completions.stream({ model: `${d}-toolstream`, messages, tools }).finalMessage();
        same(`openai ${d} tools in a stream`, r.tool_calls.map(c => [c.function.name, JSON.parse(c.function.arguments).sku]), wanted);
    };

    list[`openai ${d} image`] = async () => {
        const r = await ask('image', { messages: [{ role: 'user', content: [{ type: 'text', text: 'What?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,aWc=' } }] }] });
        check(`openai ${d} image`, said(r).content.length > 3, r);
    };

    list[`openai ${d} structured`] = async () => {
        const r = await ask('json', { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object', properties: {} } } } });
        check(`openai ${d} structured`, typeof JSON.parse(said(r).content) === 'object', r);
    };

    if (d === 'a') {
        list['openai a structured, of an older model'] = async () => {
            const r = await client.chat.completions.parse({ model: 'a-claude-3-5-haiku', messages,
                response_format: zodResponseFormat(z.object({ sentiment: z.string(), score: z.number(), topics: z.array(z.string()) }), 'x') });
            same('openai a structured, of an older model', Object.keys(said(r).parsed), ['sentiment', 'score', 'topics']);
        };
    }

    for (const [name, model] of [['ai/openai', m => openai.chat(`${d}-${m}`)], ['ai/anthropic', m => anthropic(`${d}-${m}`)]]) {
        const it = `${name} ${d}`;
        const common = { prompt: 'Hello', maxRetries: 0, maxOutputTokens: 100 };
        const kit = { stock_level: tool({ description: 'd', inputSchema: z.object({ sku: z.string(), depot: z.string().optional() }), execute: async ({ sku }) => `17 of ${sku}` }) };

        list[`${it} text`] = async () => {
            const r = await generateText({ ...common, model: model('text') });
            check(`${it} text`, r.text.length > 3, r.text);
            same(`${it} finish`, r.finishReason, 'stop');
            check(`${it} usage`, r.usage.inputTokens > 0 && r.usage.outputTokens > 0, r.usage);
        };

        list[`${it} stream`] = async () => {
            const r = streamText({ ...common, model: model('stream'), onError() {} });
            let text = '';
            for await (const t of r.textStream) { text += t; }
            same(`${it} stream`, text, 'One, two, three.');
            same(`${it} stream: finish`, await r.finishReason, 'stop');
        };

        list[`${it} tools`] = async () => {
            const r = await generateText({ ...common, model: model('tools'), tools: kit, stopWhen: stepCountIs(3) });
            same(`${it} tools: calls`, r.steps[0].toolCalls.map(c => [c.toolName, c.input.sku]), wanted);
            check(`${it} tools: second turn`, r.steps.length === 2 && r.text.length > 3, r.steps.length);
        };

        list[`${it} tools in a stream`] = async () => {
            const r = streamText({ ...common, model: model('toolstream'), tools: kit, stopWhen: stepCountIs(1), onError() {} });
            await r.consumeStream();
            same(`${it} tools in a stream`, (await r.toolCalls).map(c => [c.toolName, c.input.sku]), wanted);
        };

        list[`${it} image`] = async () => {
            const r = await generateText({ model: model('image'), maxRetries: 0, messages: [{ role: 'user', content: [{ type: 'text', text: 'What?' },
                { type: 'image', image: 'aWc=', mediaType: 'image/png' }] }] });
            check(`${it} image`, r.text.length > 3, r.text);
        };

        list[`${it} structured`] = async () => {
            const r = await generateText({ ...common, model: model('json'), output: Output.object({ schema: z.object({}).passthrough() }) });
            check(`${it} structured`, typeof r.output === 'object', r.text);
        };

        list[`${it} errors`] = async () => {
            for (const [m, status] of [['limited', 429], ['bad', 400]]) {
                const e = await failing(() => generateText({ ...common, model: model(m) }));
                check(`${it} error ${m}`, APICallError.isInstance(e), String(e));
                same(`${it} error ${m}: status`, e.statusCode, status);
            }
        };
    }
}

groups(list);
