// The openai package's Responses, and the same by Vercel's ai, in front of each
// upstream dialect: where providers have the endpoint and where they lack it.

'use strict';

const { load, check, same, failing, groups } = require('./checks.cjs');

const OpenAI = load('openai');
const { zodTextFormat, zodResponsesFunction } = load('openai/helpers/zod');
const { generateText, streamText, tool, stepCountIs, Output } = load('ai');
const { createOpenAI } = load('@ai-sdk/openai');
const { z } = load('zod');

const baseURL = process.env.BASE;
const client = new OpenAI({ apiKey: 'sk-the-callers-own', baseURL, maxRetries: 0 });
const ai = createOpenAI({ apiKey: 'sk-the-callers-own', baseURL });
const wanted = [['stock_level', 'A-9'], ['stock_level', 'B-2']];
const Rating = z.object({ sentiment: z.string(), score: z.number(), topics: z.array(z.string()) });
const Stock = z.object({ sku: z.string() });
const tools = [{ type: 'function', name: 'stock_level', strict: false, parameters: { type: 'object', properties: { sku: { type: 'string' } } } }];
const list = {};

const calls = r => r.output.filter(i => i.type === 'function_call');
const named = r => calls(r).map(c => [c.name, JSON.parse(c.arguments).sku]);

for (const d of process.env.DIALECTS.split(' ')) {
    const ask = (model, more) => client.responses.create({ model: `${d}-${model}`, input: 'Hello', ...more });
    const stream = (model, more) => client.responses.stream({ model: `${d}-${model}`, input: 'Hello', ...more });

    list[`${d} text`] = async () => {
        const r = await ask('text', { instructions: 'Be brief.', metadata: { a: 'b' } });
        check(`${d} text`, r.output_text.length > 3, r);
        same(`${d} text: status`, [r.object, r.status, r.error, r.store, r.instructions, r.metadata], ['response', 'completed', null, false, 'Be brief.', { a: 'b' }]);
        check(`${d} text: usage`, r.usage.total_tokens > 0 && r.usage.input_tokens_details.cached_tokens >= 0, r.usage);
    };

    list[`${d} stream`] = async () => {
        let text = '', last, types = new Set();
        for await (const e of await ask('stream', { stream: true })) {
            types.add(e.type);
            if (e.type === 'response.output_text.delta') { text += e.delta; }
            last = e;
        }
        same(`${d} stream`, text, 'One, two, three.');
        same(`${d} stream: last event`, [last.type, last.response.output[0].content[0].text], ['response.completed', text]);
        const r = await stream('stream').on('response.output_text.delta', e => { text = e.snapshot; }).finalResponse();
        same(`${d} stream helper`, [r.output_text, text, r.status], ['One, two, three.', 'One, two, three.', 'completed']);
    };

    list[`${d} tools`] = async () => {
        const input = [{ role: 'user', content: 'Hello' }];
        const r = await ask('tools', { tools, input });
        same(`${d} tools: calls`, named(r), wanted);
        input.push(...r.output, ...calls(r).map(c => ({ type: 'function_call_output', call_id: c.call_id, output: '17' })));
        const again = await ask('tools', { tools, input });
        check(`${d} tools: second turn`, again.output_text.length > 3, again);
    };

    list[`${d} tools in a stream`] = async () => {
        const r = await stream('toolstream', { tools }).finalResponse();
        same(`${d} tools in a stream`, named(r), wanted);
        check(`${d} tools in a stream: done`, calls(r).every(c => c.status === 'completed' && c.call_id && c.id), r.output);
    };

    list[`${d} image`] = async () => {
        const r = await ask('image', { input: [{ role: 'user', content: [{ type: 'input_text', text: 'What?' },
            { type: 'input_image', detail: 'auto', image_url: 'data:image/png;base64,aWc=' }] }] });
        check(`${d} image`, r.output_text.length > 3, r);
    };

    list[`${d} structured`] = async () => {
        const r = await client.responses.parse({ model: `${d}-json`, input: 'Hello', text: { format: zodTextFormat(Rating, 'rating') } });
        same(`${d} structured`, r.output_parsed.topics, ['delivery', 'packaging']);
        const t = await client.responses.parse({ model: `${d}-parsed`, input: 'Hello', tools: [zodResponsesFunction({ name: 'stock_level', parameters: Stock })] });
        same(`${d} structured tools`, calls(t).map(c => c.parsed_arguments.sku), ['A-9', 'B-2']);
    };

    list[`${d} errors`] = async () => {
        for (const [model, type, status] of [['limited', OpenAI.RateLimitError, 429], ['bad', OpenAI.BadRequestError, 400], ['nobody', OpenAI.NotFoundError, 404]]) {
            const e = await failing(() => ask(model));
            check(`${d} error ${model}: ${type.name}`, e instanceof type, { name: e.constructor.name, message: String(e.message) });
            same(`${d} error ${model}: status`, e.status, status);
        }
        let e = await failing(async () => { for await (const part of await ask('fails', { stream: true })) { void part; } });
        check(`${d} error in a stream`, e instanceof OpenAI.APIError, { name: e.constructor.name, message: String(e.message) });
        e = await failing(() => stream('fails').finalResponse());
        check(`${d} error in a stream helper`, e instanceof OpenAI.APIError, { name: e.constructor.name, message: String(e.message) });
        e = await failing(() => ask('text', { previous_response_id: 'resp_1' }));
        same(`${d} what is not stored`, [e.status, e.param, e.code], [400, 'previous_response_id', 'caller_unsupported']);
    };

    const it = `ai ${d}`;
    const common = { prompt: 'Hello', maxRetries: 0, maxOutputTokens: 100, providerOptions: { openai: { store: false } } };
    const kit = { stock_level: tool({ description: 'd', inputSchema: z.object({ sku: z.string(), depot: z.string().optional() }), execute: async ({ sku }) => `17 of ${sku}` }) };

    list[`${it} text`] = async () => {
        const r = await generateText({ ...common, model: ai.responses(`${d}-text`) });
        check(`${it} text`, r.text.length > 3, r.text);
        same(`${it} finish`, r.finishReason, 'stop');
        check(`${it} usage`, r.usage.inputTokens > 0 && r.usage.outputTokens > 0, r.usage);
    };

    list[`${it} stream`] = async () => {
        const r = streamText({ ...common, model: ai.responses(`${d}-stream`), onError() {} });
        let text = '';
        for await (const t of r.textStream) { text += t; }
        same(`${it} stream`, text, 'One, two, three.');
        same(`${it} stream: finish`, await r.finishReason, 'stop');
    };

    list[`${it} tools`] = async () => {
        const r = await generateText({ ...common, model: ai.responses(`${d}-tools`), tools: kit, stopWhen: stepCountIs(3) });
        same(`${it} tools: calls`, r.steps[0].toolCalls.map(c => [c.toolName, c.input.sku]), wanted);
        check(`${it} tools: second turn`, r.steps.length === 2 && r.text.length > 3, r.steps.length);
    };

    list[`${it} tools in a stream`] = async () => {
        const r = streamText({ ...common, model: ai.responses(`${d}-toolstream`), tools: kit, stopWhen: stepCountIs(1), onError() {} });
        await r.consumeStream();
        same(`${it} tools in a stream`, (await r.toolCalls).map(c => [c.toolName, c.input.sku]), wanted);
    };

    list[`${it} structured`] = async () => {
        const r = await generateText({ ...common, model: ai.responses(`${d}-json`), output: Output.object({ schema: Rating }) });
        same(`${it} structured`, r.output.topics, ['delivery', 'packaging']);
    };
}

// the built-in provider has the endpoint; the other one is asked for a chat
for (const m of ['mock', 'mockchat']) {
    list[m] = async () => {
        const r = await client.responses.create({ model: m, input: 'Hello' });
        check(`${m} text`, r.output_text.length > 3 && r.usage.output_tokens > 0, r);
        const s = await client.responses.stream({ model: m, input: 'Hello' }).finalResponse();
        same(`${m} stream`, [s.status, s.output_text.length > 3], ['completed', true]);
        const t = await client.responses.create({ model: m, input: 'Hello', tools, tool_choice: { type: 'function', name: 'stock_level' } });
        same(`${m} tools`, calls(t).map(c => [c.name, typeof JSON.parse(c.arguments)]), [['stock_level', 'object']]);
        const p = await client.responses.parse({ model: m, input: 'Hello', text: { format: zodTextFormat(Rating, 'rating') } });
        check(`${m} structured`, Array.isArray(p.output_parsed.topics), p.output_text);
    };
}

groups(list);
