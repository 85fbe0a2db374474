# Transcripts of providers that take no form: Gemini, by generateContent, and
# OpenRouter, in JSON of its own.

use lib 't/lib';
use Test::LLM;
use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64 decode_base64);

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'AIzaSyAlpha0001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    client_max_body_size 100m;
    log_format llm '$request_id|$llm_input_tokens|$llm_output_tokens|$llm_audio_seconds|$llm_cost|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider g { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; keys k; breaker off; timeout header=200ms first=200ms; }
    llm_provider r { dialect openrouter; base_url http://127.0.0.1:%%UP%%/r/api/v1; keys k; breaker off; }
    llm_provider w { dialect openai; base_url http://127.0.0.1:%%UP%%/w/v1; key env:KEY_A; breaker off; }
    llm_model flash   { provider g; id gemini-3.5-flash; price input=1 output=2; }
    llm_model routed  { provider r; id openai/whisper-1; can transcribe chat; }
    llm_model whisper { provider w; id whisper-1; can transcribe translate; }
    llm_route chain { target flash; target whisper; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry 2 backoff=1ms..2ms;
        location = /transcribe { llm_transcribe language=fa temperature=0; llm_pass flash; }
        location = /routed     { llm_transcribe language=fa temperature=0; llm_pass routed; }
        location /v1/          { llm_pass $llm_model; }
        location /health       { llm_health; }
    }
EOC

# the beginning of it: the mock reads JSON slowly
my $wav = substr(fixture_text('audio/hello.wav'), 0, 444);

sub sound { my ($data, %o) = @_; [ '; filename="' . ($o{name} // 'a.wav') . "\"\r\nContent-Type: " . ($o{type} // 'audio/wav'), $data ] }

# what went out, with the digest of the sound in its place: JSON::PP is slow
sub sent {
    my ($q) = @_;
    return from_json($q->{body} =~ s{"data":"([A-Za-z0-9+/=]*)"}{'"data":"' . sha256_hex(decode_base64($1)) . '"'}er);
}

# sends a form; (response, what went out, its JSON)
sub upload {
    my ($path, $script, @fields) = @_;
    my ($type, $body) = form(@fields);
    $up->reset;
    $up->on('/*' => ref $script ? $script : [ [ json => fixture_text($script) ] ]);
    my $r = $gw->http(POST => $path, { 'Content-Type' => $type }, $body, timeout => 30);
    my ($q) = $up->received;
    return ($r, $q, $q && $q->{h}{'content-type'} eq 'application/json' && sent($q));
}
sub transcribe { upload('/v1/audio/transcriptions', 'gemini/generate.audio.response.json', model => 'flash', file => sound($wav), @_) }

sub logged {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
    return split /\|/, $line // '', -1;
}

sub json { [ [ json => $_[0] ] ] }

# a generateContent answer with these parts
sub answer {
    my ($finish, @parts) = @_;
    return [ [ json => to_json({ candidates => [ { content => { role => 'model', parts => \@parts }, ($finish ? (finishReason => $finish) : ()) } ] }) ] ];
}

# ---- Gemini: what goes out --------------------------------------------------------------

my ($r, $q, $out) = transcribe();
is($r->status, 200, 'served') or diag $r->body;
is($q->{path}, '/g/v1beta/models/gemini-3.5-flash:generateContent', 'path');
is($q->{h}{'x-goog-api-key'}, 'AIzaSyAlpha0001', 'key');
is($q->{h}{'content-type'}, 'application/json', 'JSON');
is($q->{h}{'content-length'}, $q->{len}, 'its length');
my ($text, $inline) = @{ $out->{contents}[0]{parts} };
is($inline->{inlineData}{mimeType}, 'audio/wav', 'media type');
is($inline->{inlineData}{data}, sha256_hex($wav), 'the sound');
like($q->{body}, qr{"data":"\Q@{[ encode_base64($wav, '') ]}\E"}, '... in base64');
like($text->{text}, qr/^Transcribe/, 'an instruction');
is_deeply([ sort keys %$out ], [ 'contents' ], 'nothing else');

($r, $q, $out) = transcribe(language => 'de', prompt => "Names: \"Ada\"\n\x{c3}\x{a4}", temperature => '0.20', user => 'u-1', 'include[]' => 'logprobs');
($text) = @{ $out->{contents}[0]{parts} };
like($text->{text}, qr/language that is spoken: de\./, 'language');
like($text->{text}, qr/Names: "Ada"\n\x{e4}$/, 'prompt');
like($q->{body}, qr/"temperature":0\.20\}/, 'temperature, digit by digit');
is(join(' ', sort split /, /, $r->header('x-llm-dropped')), 'include[] user', 'what was left out');

($r, $q, $out) = upload('/v1/audio/translations', 'gemini/generate.audio.response.json', file => sound($wav), model => 'flash');
is($r->status, 200, 'a translation');
like($out->{contents}[0]{parts}[0]{text}, qr/^Translate .* into English/, '... is asked for');

for ([ 'hello.mp3', 'audio/mp3' ], [ 'hello.flac', 'audio/flac' ], [ 'hello.ogg', 'audio/ogg' ]) {
    my ($name, $type) = @$_;
    ($r, $q, $out) = upload('/v1/audio/transcriptions', 'gemini/generate.audio.response.json', model => 'flash',
        file => sound(fixture_text("audio/$name"), name => 'blob', type => 'application/octet-stream'));
    is($out->{contents}[0]{parts}[1]{inlineData}{mimeType}, $type, "$name by its first bytes");
}
($r, $q, $out) = upload('/v1/audio/transcriptions', 'gemini/generate.audio.response.json', model => 'flash', file => sound('????', type => 'video/webm;codecs=opus'));
is($out->{contents}[0]{parts}[1]{inlineData}{mimeType}, 'audio/webm', 'by the type of the part');
($r, $q, $out) = upload('/v1/audio/transcriptions', 'gemini/generate.audio.response.json', model => 'flash', file => sound('????', type => 'x/y', name => 'a.b.M4A'));
is($out->{contents}[0]{parts}[1]{inlineData}{mimeType}, 'audio/mp4', 'by its name');

# the application's route: a form, and the sound itself
($r, $q, $out) = upload('/transcribe', 'gemini/generate.audio.response.json', file => sound($wav), language => 'en');
is($r->json->{text}, 'Hello gateway, this is a test.', '/transcribe');
like($out->{contents}[0]{parts}[0]{text}, qr/spoken: fa\./, "... the location's language wins");
is($out->{generationConfig}{temperature}, 0, '... temperature');
$up->reset;
$up->on('/*' => [ [ json => fixture_text('gemini/generate.audio.response.json') ] ]);
$r = $gw->http(POST => '/transcribe', { 'Content-Type' => 'audio/flac' }, fixture_text('audio/hello.flac'));
is($r->json->{text}, 'Hello gateway, this is a test.', 'the sound as the body');
($q) = $up->received;
is(sent($q)->{contents}[0]{parts}[1]{inlineData}{data}, sha256_hex(fixture_text('audio/hello.flac')), '... in base64');
is($q->{h}{'content-type'}, 'application/json', '... in JSON');

# every length of the last group of three, and of a piece
for my $n (1 .. 4, 49152 - 45 .. 49152 - 43) {
    my $sound = substr($wav, 0, 44) . pack('C*', map { ($_ * 7) & 255 } 1 .. $n);
    ($r, $q, $out) = upload('/transcribe', 'gemini/generate.audio.response.json', file => sound($sound));
    ok($r->status == 200 && $out->{contents}[0]{parts}[1]{inlineData}{data} eq sha256_hex($sound)
        && index($q->{body}, substr(encode_base64($sound, ''), -8) . '"') > 0, 'a file of ' . length($sound) . ' bytes');
}

# ---- Gemini: answers --------------------------------------------------------------------

($r) = transcribe();
is_deeply($r->json, { text => 'Hello gateway, this is a test.', usage => { type => 'tokens', input_tokens => 70, output_tokens => 8, total_tokens => 78 } }, 'json');
like($r->header('content-type'), qr{^application/json}, '... type');
my @f = logged($r);
is("$f[1]/$f[2]", '70/8', '... usage is counted');
is($f[4], '0.000086', '... and costs');
($r) = transcribe(response_format => 'text');
is($r->body, "Hello gateway, this is a test.\n", 'text');
like($r->header('content-type'), qr{^text/plain}, '... type');
($r) = transcribe(response_format => 'verbose_json', language => 'en');
is_deeply($r->json, { task => 'transcribe', language => 'en', duration => 1, text => 'Hello gateway, this is a test.',
    usage => { type => 'tokens', input_tokens => 70, output_tokens => 8, total_tokens => 78 } }, 'verbose_json: what is known') or diag $r->body;
($r) = transcribe(stream => 'true');
like($r->header('content-type'), qr{^text/event-stream}, 'events');
is_deeply([ map { $_->{json} } Test::LLM::Sse::events($r) ], [ { type => 'transcript.text.delta', delta => 'Hello gateway, this is a test.' },
    { type => 'transcript.text.done', text => 'Hello gateway, this is a test.', usage => { type => 'tokens', input_tokens => 70, output_tokens => 8, total_tokens => 78 } } ],
    '... all at once');

my @late = @{ json(fixture_text('gemini/generate.audio.response.json'))->[0] };
($r) = upload('/v1/audio/transcriptions', [ [ pause => 400 ], \@late ], model => 'flash', file => sound($wav), stream => 'true');
is($r->status, 200, '... nobody waits for the first of them');

($r) = upload('/transcribe', answer('STOP', { text => 'I think', thought => JSON::PP::true() }, { text => "One \"\x{e9}\"\n" }, { text => 'two' }), file => sound($wav));
is_deeply($r->json, { text => "One \"\x{e9}\"\ntwo" }, 'a text in parts, without thoughts');
($r) = upload('/transcribe', answer('STOP', { text => "One \"\x{e9}\"\n" }, { text => 'two' }), file => sound($wav), response_format => 'text');
is($r->body, "One \"\xc3\xa9\"\ntwo\n", '... decoded');
($r) = upload('/transcribe', [ [ json => '{"candidates":[{"finishReason":"STOP"}]}' ] ], file => sound($wav));
is_deeply($r->json, { text => '' }, 'nobody speaks');

for ([ 'cut short', answer('MAX_TOKENS', { text => 'One' }), 502, 'provider_bad_answer' ],
     [ 'without an end', answer(undef, { text => 'One' }), 502, 'provider_bad_answer' ],
     [ 'filtered', answer('SAFETY', { text => 'One' }), 400, 'caller_content_filter' ],
     [ 'recited', answer('RECITATION'), 400, 'caller_content_filter' ],
     [ 'a blocked prompt', [ [ json => fixture_text('gemini/generate.prompt-blocked.response.json') ] ], 400, 'caller_content_filter' ],
     [ "OpenAI's answer", [ [ json => '{"text":"One"}' ] ], 502, 'provider_bad_answer' ],
     [ 'HTML', [ [ header => 'Content-Type: text/html' ], [ body => '<p>One</p>' ] ], 502, 'provider_bad_answer' ],
     [ 'events', [ [ event => '{"candidates":[{"content":{"parts":[{"text":"One"}]},"finishReason":"STOP"}]}' ], [ 'end' ] ], 502, 'provider_bad_answer' ],
     [ 'too many requests', [ [ 'http-file', fixture('gemini/error.429-minute.http') ] ], 429, 'provider_rate_limited' ],
     [ 'a bad request', [ [ 'http-file', fixture('gemini/error.400-invalid.http') ] ], 400, 'caller_invalid_request' ])
{
    my ($name, $script, $status, $code) = @$_;
    ($r) = upload('/transcribe', $script, file => sound($wav));
    is($r->status . ' ' . $r->header('x-llm-error'), "$status $code", $name);
    ok(ref $r->json->{error} && !exists $r->json->{error}{status}, "... in the client's form");
}

# ---- what it cannot be asked for ----------------------------------------------------------

for ([ response_format => 'srt' ], [ response_format => 'vtt' ], [ 'timestamp_granularities[]' => 'word' ]) {
    my ($name, $value) = @$_;
    ($r) = transcribe($name => $value);
    is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_unsupported', "$name=$value");
    is($r->json->{error}{param}, $name, '... by name');
    is($up->count, 0, '... and is not sent');
}
for ([ temperature => 'warm' ], [ language => 'en"; drop' ]) {
    my ($name, $value) = @$_;
    ($r) = transcribe($name => $value);
    is($r->status . ' ' . $r->header('x-llm-error') . ' ' . $r->json->{error}{param}, "400 caller_invalid_request $name", "$name=$value");
}
($r) = upload('/v1/audio/transcriptions', json('{}'), model => 'flash', url => 'https://x/a.wav');
is($r->json->{error}{param}, 'file', 'no file, but where it is');
($r) = upload('/v1/audio/transcriptions', json('{}'), model => 'flash', file => sound('What is this?', type => 'text/plain', name => 'a.txt'));
is($r->json->{error}{param}, 'file', 'no sound');

($r, $q) = upload('/v1/audio/transcriptions', 'openai/transcription.json.response.json', model => 'chain', response_format => 'srt', file => sound($wav));
is($q->{path}, '/w/v1/audio/transcriptions', 'the next target can');
like($q->{body}, qr/filename="a\.wav"/, '... and gets the form');

# ---- any size ---------------------------------------------------------------------------

my $block = join '', map { chr(($_ * 167) & 255) } 1 .. 65_500;
my $large = substr($wav, 0, 44) . join '', map { pack('N', $_) . $block } 1 .. 64;
sub peak { my ($pid) = $gw->workers; open my $f, '<', "/proc/$pid/status" or die $!; my ($kb) = map { /^RssAnon:\s+(\d+)/ } <$f>; return $kb }

$up->reset;
$up->on('/g/*' => reply(503, {}, '{"error":{"code":503,"status":"UNAVAILABLE","message":"busy"}}'), [ [ json => fixture_text('gemini/generate.audio.response.json') ] ]);
my ($type, $body) = form(model => 'flash', file => sound($large));
my $before = peak();
$r = $gw->http(POST => '/v1/audio/transcriptions', { 'Content-Type' => $type }, $body, timeout => 30);
is($r->status, 200, 'an upload of 4 MB, at the second attempt');
my @sent = $up->received;
is(scalar @sent, 2, '... sent twice');
is($sent[0]{sha256}, $sent[1]{sha256}, '... the same bytes');
cmp_ok(peak() - $before, '<', 4000, '... in constant memory (kB)');

is($sent[1]{sha256}, sha256_hex(expected('flash', 'gemini/generate.audio.response.json')), '... and what it was');

# a request as it is sent for a small file, with the large one in its place
sub expected {
    my ($model, $answer) = @_;
    my ($r, $q) = upload('/v1/audio/transcriptions', $answer, model => $model, file => sound($wav));
    return $q->{body} =~ s/"data":"[^"]*"/'"data":"' . encode_base64($large, '') . '"'/er;
}

my @large = form(model => 'routed', file => sound($large));
($type, $body) = form(model => 'flash', file => sound($large x 4));
$up->reset;
$r = $gw->http(POST => '/v1/audio/transcriptions', { 'Content-Type' => $type }, $body, timeout => 30);
is($r->status . ' ' . $r->header('x-llm-error') . ' ' . $r->json->{error}{param}, '400 caller_unsupported file', 'more than Google takes');
is($up->count, 0, '... is not sent');

# a provider that goes away meanwhile
my $whole = sha256_hex(expected('routed', 'openrouter/transcription.response.json'));
$up->reset;
$up->on('/r/*' => [ 'early', 'stop-reading', [ pause => 50 ], 'rst' ], [ [ json => '{"text":"again"}' ] ]);
$r = $gw->http(POST => '/v1/audio/transcriptions', { 'Content-Type' => $large[0] }, $large[1], timeout => 30);
is($r->json->{text}, 'again', 'a connection that broke: once more');
is(($up->received)[-1]{sha256}, $whole, '... from the beginning');

# ---- OpenRouter -------------------------------------------------------------------------

($r, $q, $out) = upload('/routed', 'openrouter/transcription.response.json', file => sound($wav), prompt => 'Ada', model => 'x');
is($q->{path}, '/r/api/v1/audio/transcriptions', "OpenRouter's path");
is($q->{h}{authorization}, 'Bearer AIzaSyAlpha0001', '... key');
is_deeply($out, { model => 'openai/whisper-1', input_audio => { data => sha256_hex($wav), format => 'wav' }, language => 'fa', temperature => 0 }, '... request');
is($r->header('x-llm-dropped'), 'prompt', '... without a prompt');
is_deeply($r->json, { text => 'Hello gateway, this is a test.', usage => { type => 'duration', seconds => 1.8 } }, '... answer');
@f = logged($r);
is("$f[3] $f[4]", '1.800 0.00018', '... seconds and cost, as it counted them');
($r) = upload('/routed', 'openrouter/transcription.response.json', file => sound($wav), response_format => 'verbose_json');
is($r->json->{duration}, 1.8, '... verbose_json');
($r) = upload('/v1/audio/translations', json('{}'), file => sound($wav), model => 'routed');
is($r->header('x-llm-error'), 'caller_unsupported', 'it does not translate');
($r) = upload('/routed', [ [ json => '{"error":{"code":402,"message":"Insufficient credits"}}' ] ], file => sound($wav));
is($r->header('x-llm-error'), 'provider_auth', 'an error in a 200');

$up->reset;
$up->on('/r/*' => [ [ json => fixture_text('openrouter/chat.response.json') ] ]);
$r = $gw->post('/v1/chat/completions', '{"model":"routed","unknown":1e400,"messages":[{"role":"user","content":"Hi"}]}');
is($r->body, fixture_text('openrouter/chat.response.json'), "all else is OpenAI's, byte for byte");
($q) = $up->received;
like($q->{body}, qr/"unknown":1e400/, '... both ways');

finish();
