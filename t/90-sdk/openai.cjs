// The openai package against the gateway: only the base URL differs.

'use strict';

const fs = require('fs');
const { load, check, same, failing, groups } = require('./checks.cjs');

const OpenAI = load('openai');
const client = new OpenAI({ apiKey: 'sk-the-callers-own', baseURL: process.env.BASE + '/v1' });
const audio = process.env.FIXTURES + '/audio/';
const messages = [{ role: 'user', content: 'Why is the sky blue? ü 日本 😀' }];

groups({
    async chat() {
        const { data, response } = await client.chat.completions.create({ model: 'chat', messages }).withResponse();
        same('chat: text', data.choices[0].message.content, 'Air scatters short blue wavelengths of sunlight more than long red ones.');
        same('chat: usage', data.usage.total_tokens, 38);
        same('chat: x-llm-provider', response.headers.get('x-llm-provider'), 'up');
    },

    async stream() {
        let text = '', chunks = 0, usage = 0;
        const stream = await client.chat.completions.create({ model: 'stream', messages, stream: true });
        for await (const part of stream) {
            text += part.choices[0].delta.content || '';
            usage += part.usage ? 1 : 0;
            chunks++;
        }
        same('stream: text', text, 'One, two, three.');
        check('stream: chunks', chunks > 3, chunks);
        same('stream: no usage that was not asked for', usage, 0);

        let seen;
        for await (const part of await client.chat.completions.create({ model: 'stream', messages, stream: true, stream_options: { include_usage: true } })) {
            seen = part.usage || seen;
        }
        check('stream: usage that was', seen && seen.total_tokens > 0, seen);
    },

    async streamHelper() {
        const runner = client.chat.completions.stream({ model: 'stream', messages });
        same('stream helper: final text', await runner.finalContent(), 'One, two, three.');
    },

    async unicode() {
        let text = '';
        for await (const part of await client.chat.completions.create({ model: 'utf8', messages, stream: true })) {
            text += part.choices[0].delta.content || '';
        }
        same('stream: text split inside characters', text, process.env.UTF8_TEXT);
    },

    async two() {
        const run = async () => {
            let text = '';
            for await (const part of await client.chat.completions.create({ model: 'stream', messages, stream: true })) {
                text += part.choices[0].delta.content || '';
            }
            return text;
        };
        same('parallel streams', await Promise.all([run(), run(), run()]), Array(3).fill('One, two, three.'));
    },

    async tools() {
        const tools = [{ type: 'function', function: { name: 'stock_level', parameters: { type: 'object', properties: { sku: { type: 'string' } } } } }];
        const r = await client.chat.completions.create({ model: 'tools', messages, tools });
        same('tools: two calls', r.choices[0].message.tool_calls.map(c => c.function.name), ['stock_level', 'stock_level']);
        check('tools: arguments are JSON', JSON.parse(r.choices[0].message.tool_calls[0].function.arguments).sku === 'A-9');
        const runner = client.chat.completions.stream({ model: 'tools-stream', messages, tools });
        const done = await runner.finalChatCompletion();
        same('tools: streamed fragments add up', done.choices[0].message.tool_calls.map(c => JSON.parse(c.function.arguments).sku), ['A-9', 'B-2']);
    },

    async responses() {
        const r = await client.responses.create({ model: 'responses', input: 'x' });
        check('responses: text', r.output_text && r.output_text.length > 3, r);
        let text = '';
        for await (const ev of await client.responses.create({ model: 'responses-stream', input: 'x', stream: true })) {
            if (ev.type === 'response.output_text.delta') text += ev.delta;
        }
        check('responses: streamed text', text.length > 3, text);
    },

    async transcription() {
        for (const name of ['hello.wav', 'hello.mp3', 'hello.flac', 'hello.ogg']) {
            const r = await client.audio.transcriptions.create({ model: 'speech', file: fs.createReadStream(audio + name), language: 'en' });
            same('transcription: ' + name, r.text, 'Hello gateway, this is a test.');
        }
        const srt = await client.audio.transcriptions.create({ model: 'speech-srt', file: fs.createReadStream(audio + 'hello.wav'), response_format: 'srt' });
        check('transcription: srt', typeof srt === 'string' && /-->/.test(srt), srt);
        const t = await client.audio.translations.create({ model: 'speech', file: fs.createReadStream(audio + 'hello.wav') });
        check('translation', t.text, t);
    },

    async embeddings() {
        const r = await client.embeddings.create({ model: 'embed', input: 'x' });
        check('embeddings: numbers, decoded from base64', r.data[0].embedding.every(n => typeof n === 'number'), r.data[0]);
        const f = await client.embeddings.create({ model: 'embed-float', input: 'x', encoding_format: 'float' });
        check('embeddings: floats', f.data[0].embedding.length > 1, f);
    },

    async models() {
        const ids = [];
        for await (const m of client.models.list()) ids.push(m.id);
        check('models: list', ids.includes('chat') && !ids.includes('hidden') && !ids.includes('up'), ids);
    },

    async errors() {
        const ask = model => failing(() => client.chat.completions.create({ model, messages }));
        const cases = [
            ['limited', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
            ['quota', OpenAI.InternalServerError, 502],
            ['ourkey', OpenAI.InternalServerError, 502],
            ['bad', OpenAI.BadRequestError, 400],
            ['long', OpenAI.BadRequestError, 400, 'context_length_exceeded'],
            ['nobody', OpenAI.NotFoundError, 404, 'model_not_found'],
            ['invalid', OpenAI.UnprocessableEntityError, 422],
            ['down', OpenAI.InternalServerError, 502],
            ['html', OpenAI.InternalServerError, 502],
            ['busy', OpenAI.InternalServerError, 503],
            ['silent', OpenAI.InternalServerError, 504],
        ];
        for (const [model, type, status, code] of cases) {
            const e = await ask(model);
            check(`error ${model}: ${type.name}`, e instanceof type, { name: e.constructor.name, message: String(e.message), status: e.status });
            same(`error ${model}: status`, e.status, status);
            if (code) same(`error ${model}: code`, e.code, code);
            check(`error ${model}: message`, e.error && e.error.message, e.error);
            check(`error ${model}: no key in it`, !/sk-alpha|sk-the/.test(JSON.stringify(e.error) + e.message));
        }
        const denied = await failing(() => new OpenAI({ apiKey: 'x', baseURL: process.env.BASE + '/denied/v1' }).chat.completions.create({ model: 'chat', messages }));
        check('error denied: PermissionDeniedError', denied instanceof OpenAI.PermissionDeniedError, String(denied));
        const gone = await failing(() => new OpenAI({ apiKey: 'x', maxRetries: 0, baseURL: 'http://127.0.0.1:' + process.env.SILENT + '/v1' }).models.list());
        check('error gone: APIConnectionError', gone instanceof OpenAI.APIConnectionError, String(gone));
        const cut = await failing(async () => {
            for await (const part of await client.chat.completions.create({ model: 'cut', messages, stream: true })) void part;
        });
        check('error cut: a cut stream throws', cut instanceof OpenAI.APIError, String(cut));
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
        const slow = await failing(() => client.chat.completions.create({ model: 'hang', messages }, { timeout: 300, maxRetries: 0 }));
        check('abort by timeout', slow instanceof OpenAI.APIConnectionTimeoutError, String(slow));
    },
});
