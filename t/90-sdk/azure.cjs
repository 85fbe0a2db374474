// AzureOpenAI of the openai package against the gateway, in front of Azure and
// of others: only the endpoint differs.

'use strict';

const fs = require('fs');
const { load, check, same, failing, groups } = require('./checks.cjs');

const { AzureOpenAI, OpenAI } = load('openai');
const apiVersion = '2024-10-21';
const apiKey = 'the-callers-own';
const endpoint = process.env.BASE;
const client = new AzureOpenAI({ endpoint, apiKey, apiVersion, maxRetries: 0 });
const messages = [{ role: 'user', content: 'Hello' }];
const tools = [{ type: 'function', function: { name: 'stock_level', parameters: { type: 'object', properties: { sku: { type: 'string' } } } } }];
const list = {};

for (const d of process.env.DIALECTS.split(' ')) {
    list[`${d} chat`] = async () => {
        const r = await client.chat.completions.create({ model: `${d}-text`, messages });
        check(`${d} chat: text`, r.choices[0].message.content.length > 2, r);
        same(`${d} chat: end`, r.choices[0].finish_reason, 'stop');
    };

    list[`${d} stream`] = async () => {
        let text = '';
        for await (const part of await client.chat.completions.create({ model: `${d}-stream`, messages, stream: true })) {
            text += part.choices[0] ? part.choices[0].delta.content || '' : '';
        }
        same(`${d} stream`, text, 'One, two, three.');
    };

    list[`${d} tools`] = async () => {
        const r = await client.chat.completions.create({ model: `${d}-tools`, messages, tools });
        same(`${d} tools`, r.choices[0].message.tool_calls.map(c => JSON.parse(c.function.arguments).sku), ['A-9', 'B-2']);
    };

    list[`${d} errors`] = async () => {
        const e = await failing(() => client.chat.completions.create({ model: `${d}-limited`, messages }));
        check(`${d} limited: RateLimitError`, e instanceof OpenAI.RateLimitError, String(e));
    };
}

list.deployment = async () => {
    const fixed = new AzureOpenAI({ endpoint, apiKey, apiVersion, deployment: 'z-text' });
    const r = await fixed.chat.completions.create({ model: 'whatever', messages });
    same('deployment: the one of the client', r.model, 'gpt-4.1-mini');
};

list.token = async () => {
    const entra = new AzureOpenAI({ endpoint, apiVersion, azureADTokenProvider: async () => 'a-token' });
    const r = await entra.chat.completions.create({ model: 'z-text', messages });
    same('token: served', r.model, 'gpt-4.1-mini');
};

list.filtered = async () => {
    const e = await failing(() => client.chat.completions.create({ model: 'z-filtered', messages }));
    check('filtered: BadRequestError', e instanceof OpenAI.BadRequestError, String(e));
    same('filtered: code', e.code, 'content_filter');
};

list.others = async () => {
    const e = await client.embeddings.create({ model: 'z-embed', input: 'x', encoding_format: 'float' });
    check('embeddings', e.data[0].embedding.length > 1, e);
    const t = await client.audio.transcriptions.create({ model: 'z-speech', file: fs.createReadStream(process.env.FIXTURES + '/audio/hello.wav') });
    same('transcription', t.text, 'Hello gateway, this is a test.');
    const w = await client.audio.transcriptions.create({ model: 'w-speech', file: fs.createReadStream(process.env.FIXTURES + '/audio/hello.wav') });
    same('transcription by whisper.cpp', w.text, 'Hello gateway, this is a test.');
    const r = await client.responses.create({ model: 'z-responses', input: 'x' });
    check('responses', r.output_text.length > 3, r);
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    check('models', ids.includes('z-text'), ids);
    const n = await failing(() => client.chat.completions.create({ model: 'nobody', messages }));
    check('nobody: NotFoundError', n instanceof OpenAI.NotFoundError, String(n));
};

groups(list);
