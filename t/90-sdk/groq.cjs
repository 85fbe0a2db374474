// The groq-sdk package against the gateway; it puts /openai/v1 before each path.

'use strict';

const fs = require('fs');
const { load, check, same, failing, groups } = require('./checks.cjs');

const Groq = load('groq-sdk');
const client = new Groq({ apiKey: 'gsk_the-callers-own', baseURL: process.env.BASE });
const messages = [{ role: 'user', content: 'Hello' }];

groups({
    async chat() {
        const r = await client.chat.completions.create({ model: 'chat', messages });
        check('chat: text', r.choices[0].message.content.length > 3, r);
        check('chat: usage', r.usage.total_tokens > 0, r.usage);
    },

    async stream() {
        let text = '';
        for await (const part of await client.chat.completions.create({ model: 'groq-stream', messages, stream: true })) {
            text += part.choices[0] ? part.choices[0].delta.content || '' : '';
        }
        same('stream: text', text, '391');
    },

    async tools() {
        const tools = [{ type: 'function', function: { name: 'stock_level', parameters: { type: 'object', properties: {} } } }];
        const r = await client.chat.completions.create({ model: 'tools', messages, tools });
        same('tools', r.choices[0].message.tool_calls.length, 2);
    },

    async transcription() {
        const r = await client.audio.transcriptions.create({ model: 'speech', file: fs.createReadStream(process.env.FIXTURES + '/audio/hello.mp3') });
        same('transcription', r.text, 'Hello gateway, this is a test.');
    },

    async embeddings() {
        const r = await client.embeddings.create({ model: 'embed-float', input: 'x' });
        check('embeddings', r.data[0].embedding.length > 1, r);
    },

    async models() {
        const r = await client.models.list();
        check('models', r.data.some(m => m.id === 'chat'), r);
    },

    async errors() {
        for (const [model, type, status] of [
            ['limited', Groq.RateLimitError, 429], ['ourkey', Groq.InternalServerError, 502],
            ['bad', Groq.BadRequestError, 400], ['nobody', Groq.NotFoundError, 404],
            ['busy', Groq.InternalServerError, 503] ])
        {
            const e = await failing(() => client.chat.completions.create({ model, messages }));
            check(`error ${model}: ${type.name}`, e instanceof type, { name: e.constructor.name, message: String(e.message) });
            same(`error ${model}: status`, e.status, status);
        }
    },

    async abort() {
        const stream = await client.chat.completions.create({ model: 'endless', messages, stream: true });
        let n = 0;
        for await (const part of stream) {
            void part;
            if (++n === 3) stream.controller.abort();
        }
        // what had come already may follow
        check('abort in mid-stream', n >= 3 && n < 400, n);
    },
});
