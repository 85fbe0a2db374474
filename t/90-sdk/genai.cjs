// The @google/genai package through the gateway, in Google's own form.

'use strict';

const { load, check, same, failing, groups } = require('./checks.cjs');

const { GoogleGenAI, ApiError } = load('@google/genai');
const { models } = new GoogleGenAI({ apiKey: 'the-callers-own', httpOptions: { baseUrl: process.env.BASE } });
const contents = 'Hello';

async function together(model) {
    const got = { text: '', finish: '' };
    try {
        for await (const part of await models.generateContentStream({ model, contents })) {
            got.text += part.text || '';
            got.finish += part.candidates[0].finishReason || '';
        }
    } catch (e) {
        got.error = e;
    }
    return got;
}

groups({
    async chat() {
        const r = await models.generateContent({ model: 'chat', contents,
            config: { temperature: 0.3, maxOutputTokens: 64, systemInstruction: 'Be short.' } });
        check('chat: text', /scatters/.test(r.text), r);
        same('chat: usage', r.usageMetadata.promptTokenCount, 11);
    },

    async stream() {
        same('stream', await together('stream'), { text: 'One, two, three.', finish: 'STOP' });
        const cut = await together('midway');
        same('stream: what came before an error', cut.text, 'One');
        check('stream: the error is thrown', cut.error, cut);
    },

    async tools() {
        const config = { tools: [{ functionDeclarations: [{ name: 'stock_level', parametersJsonSchema: { type: 'object' } }] }] };
        const turns = [{ role: 'user', parts: [{ text: 'How many?' }] }];
        const r = await models.generateContent({ model: 'tools', contents: turns, config });
        same('tools: calls', r.functionCalls.map((c) => c.args), [{ sku: 'A-9', depot: 'north' }, { sku: 'B-2' }]);
        turns.push(r.candidates[0].content, { role: 'user',
            parts: r.functionCalls.map((c) => ({ functionResponse: { name: c.name, response: { units: 1 } } })) });
        check('tools: the second turn', (await models.generateContent({ model: 'chat', contents: turns, config })).text.length, turns);
    },

    async output() {
        const r = await models.generateContent({ model: 'schema',
            contents: [{ inlineData: { mimeType: 'image/png', data: 'AAAA' } }, 'What is it?'],
            config: { responseMimeType: 'application/json', responseJsonSchema: { type: 'object' } } });
        same('an image, a schema', JSON.parse(r.text).sentiment, 'neutral');
    },

    async blocked() {
        const r = await models.generateContent({ model: 'blocked', contents });
        same('a blocked prompt', r.promptFeedback.blockReason, 'PROHIBITED_CONTENT');
    },

    async embeddings() {
        const r = await models.embedContent({ model: 'embed', contents: ['red shoe', 'blue hat'] });
        same('embeddings', r.embeddings[0].values, [0.5, -0.25, 0.125]);
    },

    async errors() {
        for (const [model, status] of [['minute', 429], ['invalid', 400], ['busy', 503]]) {
            const e = await failing(() => models.generateContent({ model, contents }));
            check(`${model}: an ApiError`, e instanceof ApiError, String(e));
            same(`${model}: status`, e.status, status);
        }
    },
});
