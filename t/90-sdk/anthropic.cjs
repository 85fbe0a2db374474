// @anthropic-ai/sdk against the gateway, in front of each upstream dialect.

'use strict';

const { load, check, same, failing, groups } = require('./checks.cjs');

const Anthropic = load('@anthropic-ai/sdk');
const client = new Anthropic({ apiKey: 'sk-ant-the-callers-own', baseURL: process.env.BASE.replace(/\/v1$/, ''), maxRetries: 0 });
const messages = [{ role: 'user', content: 'Hello' }];
const tools = [{ name: 'stock_level', input_schema: { type: 'object', properties: { sku: { type: 'string' } } } }];
const text = r => r.content.filter(b => b.type === 'text').map(b => b.text).join('');
const list = {};

for (const d of process.env.DIALECTS.split(' ')) {
    const ask = (model, more) => ({ model: `${d}-${model}`, max_tokens: 100, messages, ...more });

    list[`${d} chat`] = async () => {
        const r = await client.messages.create(ask('text'));
        check(`${d} chat: text`, text(r).length > 3, r);
        same(`${d} chat: end`, r.stop_reason, 'end_turn');
        check(`${d} chat: usage`, r.usage.input_tokens > 0 && r.usage.output_tokens > 0, r.usage);
    };

    list[`${d} stream`] = async () => {
        const stream = client.messages.stream(ask('stream'));
        let heard = '';
        stream.on('text', t => { heard += t; });
        const r = await stream.finalMessage();
        same(`${d} stream: text`, heard, 'One, two, three.');
        same(`${d} stream: assembled`, text(r), heard);
        same(`${d} stream: end`, r.stop_reason, 'end_turn');
        check(`${d} stream: usage`, r.usage.output_tokens > 0, r.usage);
    };

    list[`${d} tools`] = async () => {
        const r = await client.messages.create(ask('tools', { tools }));
        const calls = r.content.filter(b => b.type === 'tool_use');
        same(`${d} tools: calls`, calls.map(c => [c.name, c.input.sku]), [['stock_level', 'A-9'], ['stock_level', 'B-2']]);
        same(`${d} tools: end`, r.stop_reason, 'tool_use');
        const again = await client.messages.create(ask('tools', { tools, messages: [...messages, { role: 'assistant', content: r.content },
            { role: 'user', content: calls.map(c => ({ type: 'tool_result', tool_use_id: c.id, content: '17' })) }] }));
        check(`${d} tools: second turn`, text(again).length > 3, again);
    };

    list[`${d} tools in a stream`] = async () => {
        const r = await client.messages.stream(ask('toolstream', { tools })).finalMessage();
        same(`${d} tools in a stream: calls`, r.content.filter(b => b.type === 'tool_use').map(c => [c.name, c.input.sku]),
            [['stock_level', 'A-9'], ['stock_level', 'B-2']]);
        same(`${d} tools in a stream: end`, r.stop_reason, 'tool_use');
    };

    list[`${d} image`] = async () => {
        const r = await client.messages.create(ask('image', { messages: [{ role: 'user', content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aWc=' } }, { type: 'text', text: 'What?' }] }] }));
        check(`${d} image`, text(r).length > 3, r);
    };

    list[`${d} structured`] = async () => {
        const r = await client.messages.create(ask('json', { output_config: { format: { type: 'json_schema',
            schema: { type: 'object', properties: {}, additionalProperties: false } } } }));
        check(`${d} structured`, typeof JSON.parse(text(r)) === 'object', r);
    };

    list[`${d} count`] = async () => {
        const r = await client.messages.countTokens({ model: `${d}-count`, messages });
        check(`${d} count`, r.input_tokens > 0, r);
    };

    list[`${d} errors`] = async () => {
        for (const [model, type, status, kind] of [['limited', Anthropic.RateLimitError, 429, 'rate_limit_error'],
            ['busy', Anthropic.OverloadedError, 529, 'overloaded_error'], ['bad', Anthropic.BadRequestError, 400, 'invalid_request_error'], ['nobody', Anthropic.NotFoundError, 404, 'not_found_error']])
        {
            const e = await failing(() => client.messages.create(ask(model)));
            check(`${d} error ${model}: ${type.name}`, e instanceof type, { name: e.constructor.name, message: String(e.message) });
            same(`${d} error ${model}: status`, e.status, status);
            same(`${d} error ${model}: type`, e.error && e.error.error && e.error.error.type, kind);
        }
    };

    list[`${d} error in a stream`] = async () => {
        const e = await failing(() => client.messages.stream(ask('fails')).finalMessage());
        check(`${d} error in a stream`, e instanceof Anthropic.APIError, { name: e.constructor.name, message: String(e.message) });
    };
}

groups(list);
