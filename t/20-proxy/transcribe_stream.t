# Streamed transcription: events as they come, complete with the last word of
# the provider, retried before the first text and cut after it.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_status_class|$llm_input_tokens|$llm_output_tokens|$llm_audio_seconds|$llm_cost|$llm_ttft|$llm_attempts|$llm_fallbacks|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { base_url http://127.0.0.1:%%UP%%/a/v1; key env:KEY_A; breaker off; timeout header=150ms first=250ms idle=300ms total=5s; }
    llm_provider b { base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_provider canned { dialect mock; seed 1; }
    llm_model live  { provider a; id gpt-4o-transcribe; can transcribe; price input=6 output=10; }
    llm_model spare { provider b; id large-v3; can transcribe; price audio=0.006; }
    llm_model mock  { provider canned; }
    llm_route both  { target live; target spare; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry off;
        location = /transcribe { llm_transcribe language=fa; llm_pass both; }
        location = /raw        { llm_transcribe stream=true; llm_pass both; }
        location /v1/          { llm_pass $llm_model; }
    }
EOC

my $wav = fixture_text('audio/hello.wav');
my $want = fixture_text('openai/transcription.stream.sse');
my @delta = map { to_json({ type => 'transcript.text.delta', delta => $_ }) } 'Hello gate', 'way, this is a test.';
my $done = to_json({ type => 'transcript.text.done', text => 'Hello gateway, this is a test.', usage => { type => 'tokens', input_tokens => 18, output_tokens => 9, total_tokens => 27 } });

sub ask {
    my ($path, $fields, %o) = @_;
    my ($type, $body) = form(stream => 'true', %$fields,
        file => [ qq(; filename="a.wav"\r\nContent-Type: audio/wav), $wav ]);
    return $gw->request(POST => $path, { 'Content-Type' => $type }, $body, %o);
}
sub upload { my ($path, $fields) = @_; my $c = ask($path, $fields || {}); run_all(20, $c); return $c }
sub logged {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) // '';
    my %f;
    @f{qw(id class input output audio cost ttft attempts fallbacks error)} = split /\|/, $line;
    return \%f;
}

# ---- whole ----------------------------------------------------------------------------

for my $slice (1, 9, 4096) {
    $up->on('/a/*' => [ [ slice => "$slice 0" ], [ 'sse-file', fixture('openai/transcription.stream.sse') ] ]);
    my $r = upload('/transcribe');
    is($r->body, $want, "in pieces of $slice bytes: the provider's own events");
    is($r->complete, 1, '... to the end');
    like($r->header('content-type'), qr{^text/event-stream}, '... as a stream') if $slice == 9;
}
my $r = upload('/v1/audio/transcriptions', { model => 'live' });
is($r->body, $want, 'at its own endpoint');
is($r->header('cache-control'), 'no-cache', '... not to be cached');
my ($q) = ($up->received)[-1];
like($q->{body}, qr/name="stream"\r\n\r\ntrue/, '... as asked for');
is($q->{model}, 'gpt-4o-transcribe', '... of the target\'s model');
my $l = logged($r);
is("$l->{class} $l->{input} $l->{output}", 'ok 18 9', 'tokens of the last event');
is($l->{cost}, '0.000198', '... and what they cost');
cmp_ok($l->{ttft}, '>', 0, '... and when it began');

$up->on('/b/*' => [ [ 'sse-file', fixture('speaches/transcription.stream.sse') ] ]);
$r = upload('/v1/audio/transcriptions', { model => 'spare' });
is($r->body, fixture_text('speaches/transcription.stream.sse'), 'speaches, whose events have no type and no end');
$l = logged($r);
is($l->{class}, 'ok', '... is complete');
like($l->{audio}, qr/^1\.[6-9]|^2/, '... and charged by the length of the file');
$up->on('/b/*' => [ [ 'sse-file', fixture('vllm/transcription.stream.sse') ] ]);
$r = upload('/v1/audio/transcriptions', { model => 'spare' });
is($r->body, fixture_text('vllm/transcription.stream.sse'), 'vLLM, whose events are chunks');
is(logged($r)->{class}, 'ok', '... is complete');
$r = upload('/v1/audio/transcriptions', { model => 'mock' });
like($r->body, qr/transcript\.text\.delta.*transcript\.text\.done/s, 'the mock');

# a raw body, where the location asks for the stream
$up->on('/a/*' => [ [ 'sse-file', fixture('openai/transcription.stream.sse') ] ]);
$r = $gw->http(POST => '/raw', { 'Content-Type' => 'audio/wav' }, $wav);
is($r->body, $want, 'the audio itself as body');

# ---- as it comes ----------------------------------------------------------------------

$up->on('/a/*' => event_script($delta[0], [ barrier => 'go' ], $delta[1], $done));
my $c = ask('/transcribe', {});
Test::LLM::Client::run(10, $c, sub { ($c->body // '') =~ /Hello gate"/ });
like($c->body, qr/Hello gate"/, 'a text goes on before the next one is there');
unlike($c->body, qr/way, this/, '... alone');
$up->release('go');
run_all(10, $c);
like($c->body, qr/"transcript\.text\.done".*\n\n\z/s, '... and the rest follows');

# a model that ignores the wish answers when it has heard all
$up->on('/a/*' => [ [ pause => 400 ], [ json => '{"text":"whole","usage":{"type":"duration","seconds":2}}' ] ]);
$r = upload('/transcribe');
is($r->body, '{"text":"whole","usage":{"type":"duration","seconds":2}}', 'JSON instead of a stream, later than `header` and `first`');
is(logged($r)->{attempts}, 1, '... is waited for');

# ---- before the first text ------------------------------------------------------------------

my @spare = ([ 'sse-file', fixture('speaches/transcription.stream.sse') ]);
my @early = (
    [ 'a refusal', reply(503, {}, '{"error":{"message":"busy"}}') ],
    [ 'an error for a first event', event_script('{"error":{"message":"no","type":"server_error"}}', [ 'fin' ]) ],
    [ 'an error of that type', event_script('{"type":"error","error":{"message":"no"}}', [ 'fin' ]) ],
    [ 'an end at once', event_script([ begin => 'text/event-stream' ], [ 'end' ]) ],
    [ 'a reset', [ [ 'rst' ] ] ],
    [ 'silence behind the head', event_script('{"type":"transcript.text.delta","delta":""}', [ 'hang' ]) ],
);
for my $e (@early) {
    $up->reset;
    $up->on('/a/*' => $e->[1]);
    $up->on('/b/*' => \@spare);
    $r = upload('/transcribe');
    is($r->body, fixture_text('speaches/transcription.stream.sse'), "$e->[0]: the next target");
    unlike($r->wire, qr/delta|error/, '... and nothing of the first');
    is(($up->received('/b/*'))[-1]{model}, 'large-v3', '... with its model') if $e->[0] =~ /refusal/;
}
is(logged($r)->{fallbacks}, 1, 'told in the log');

# ---- after it -------------------------------------------------------------------------------

for my $cut ([ 'a reset', [ 'rst' ] ], [ 'an end without the last word', [ 'fin' ] ], [ 'silence', [ 'hang' ] ],
    [ 'a proper end without the last word' ])
{
    $up->reset;
    $up->on('/a/*' => event_script($delta[0], [ pause => 20 ], $cut->[1] || ()));
    $up->on('/b/*' => \@spare);
    $r = upload('/transcribe');
    like($r->body, qr/\Adata: \Q$delta[0]\E\n\n.*"code":"provider_cut"/s, "$cut->[0]: an error event behind the text");
    unlike($r->body, qr/DONE|text\.done/, '... and no end');
    is($up->count('/b/*'), 0, '... nor another provider');
    $l = logged($r);
    is("$l->{class} $l->{error}", 'cut provider_cut', '... in the log as well');
}
$up->on('/a/*' => event_script($delta[0], [ pause => 20 ], '{"type":"error","error":{"message":"late"}}', [ 'fin' ]));
$r = upload('/transcribe');
unlike($r->body, qr/text\.done/, 'an error in the middle');
is(logged($r)->{class}, 'cut', '... is a cut');

$up->reset;
$up->on('/a/*' => event_script($delta[0], [ 'hang' ]));
$c = ask('/transcribe', {});
Test::LLM::Client::run(10, $c, sub { ($c->body // '') =~ /Hello/ });
$c->abort;
ok(wait_for(sub { ($up->received)[-1]{gone} }, 20), 'a client that leaves: so does the gateway');
is(logged($c)->{class}, 'client_gone', '... and nobody is to blame');

finish();
