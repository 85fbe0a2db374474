// What every client script shares: one line of JSON for each check, read by
// the Perl test, and the package loaded from where it was installed.

'use strict';

// Node 18 has it, but not where the SDKs look for it
globalThis.File ??= require('buffer').File;

const { createRequire } = require('module');
const path = require('path');

const load = createRequire(path.join(process.env.LLM_SDK, 'x.js'));

function check(name, ok, detail) {
    console.log(JSON.stringify({ name, ok: !!ok, detail: ok ? undefined : detail }));
}

function same(name, got, want) {
    check(name, JSON.stringify(got) === JSON.stringify(want), { got, want });
}

// the error that a call ends with
async function failing(call) {
    try {
        const value = await call();
        return { name: 'nothing was thrown', value };
    } catch (e) {
        return e;
    }
}

// run each group; one that throws is a failed check, not the end
async function groups(list) {
    for (const [name, run] of Object.entries(list)) {
        try {
            await run();
        } catch (e) {
            check(name, false, { thrown: String(e && e.stack || e) });
        }
    }
    console.log(JSON.stringify({ end: true }));
}

module.exports = { load, check, same, failing, groups };
