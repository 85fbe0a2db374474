# The built-in mock: no network, every step of a real provider, chosen faults,
# the same answers under a seed; recordings and their replay.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $true = JSON::PP::true();
my @faults = qw(stall_header stall_first stall_body reset garbage empty cut error_event html malformed_event rate_limited quota auth timeout);

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<"EOC")->start;
    llm_zone t:8m;
    client_max_body_size 20m;
    log_format llm '\$request_id|\$llm_input_tokens|\$llm_output_tokens|\$llm_audio_seconds|\$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider mock { dialect mock; }
    llm_provider slow { dialect mock; latency 300ms; jitter 50ms; }
    llm_provider seeded { dialect mock; seed 42; error_rate 40%; breaker off; }
    llm_provider seeded2 { dialect mock; seed 42; error_rate 40% status=500; breaker off; }
    llm_provider paced { dialect mock; chunk_interval 60ms; }
    @{[ map { "llm_provider f-$_ { dialect mock; fault $_; breaker off; timeout header=300ms first=300ms idle=300ms total=900ms; }\n" } @faults ]}
    llm_provider spare { dialect mock; }
    llm_provider real { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key env:KEY_A; record %%DIR%%/rec max=50; }
    llm_provider again { dialect mock; replay %%DIR%%/rec; }
    llm_prompt p { system "Answer in JSON."; user "{text}"; answer json schema=file:%%T%%/fixtures/app/analyze.schema.json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id \$request_id always;
        llm_retry off;
        @{[ map { "location /$_/ { llm_pass $_; }\n" } qw(mock slow seeded seeded2 paced real again), map { "f-$_" } @faults ]}
        @{[ map { "location /s-$_/ { llm_pass f-$_ spare; }\n" } @faults ]}
        location = /analyze { llm_analyze p; llm_pass mock; }
        location = /transcribe { llm_transcribe language=en; llm_pass mock; }
        location = /health { llm_health; }
    }
EOC

sub ask { my ($p, %o) = @_; return chat($gw, 'm', path => "/$p/v1/chat/completions", %o) }
sub logged { my ($r) = @_; my $id = $r->header('x-id'); return split /\|/, wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) // '', -1 }

# ---- answers -----------------------------------------------------------------------------

my $r = ask('mock');
is($r->status, 200, 'chat');
my $a = $r->json;
is($a->{object}, 'chat.completion', '... object');
ok(length $a->{choices}[0]{message}{content}, '... a text');
is($a->{choices}[0]{finish_reason}, 'stop', '... finished');
cmp_ok($a->{usage}{total_tokens}, '>', 0, '... usage');
is((logged($r))[1], $a->{usage}{prompt_tokens}, '... counted');

$r = ask('mock', stream => $true);
my @e = Test::LLM::Sse::events($r);
is(Test::LLM::Sse::text(@e), $a->{choices}[0]{message}{content}, 'stream: the same text');
ok(Test::LLM::Sse::done(@e), '... [DONE]');
cmp_ok(scalar @e, '>', 4, '... in chunks');
is((grep { ref $_->{json} && $_->{json}{usage} } @e), 0, '... without usage that was not asked for');
is((logged($r))[2], $a->{usage}{completion_tokens}, '... which is counted all the same');

$r = ask('paced', stream => $true);
@e = grep { defined $_->{at} } Test::LLM::Sse::events($r);
cmp_ok($e[-1]{at} - $e[0]{at}, '>', 0.2, 'chunk_interval spreads them');

$r = ask('mock', response_format => { type => 'json_object' });
ok(from_json($r->json->{choices}[0]{message}{content}), 'JSON mode');
$r = ask('mock', response_format => { type => 'json_schema', json_schema => { name => 'x', schema => from_json(fixture_text('app/analyze.schema.json')) } });
my $o = from_json($r->json->{choices}[0]{message}{content});
like($o->{sentiment} // '', qr/^(positive|neutral|negative)$/, 'an object that satisfies the schema');
is(ref $o->{topics}, 'ARRAY', '... all of it');

$r = $gw->post('/analyze', fixture_text('app/analyze.request.json'));
is($r->status, 200, '/analyze');
like($r->json->{sentiment} // '', qr/^(positive|neutral|negative)$/, '... by the schema') or diag $r->body;

$r = ask('mock', tools => [ { type => 'function', function => { name => 'look_up', parameters => { type => 'object', properties => { sku => { type => 'string' } } } } } ], tool_choice => 'required');
is($r->json->{choices}[0]{message}{tool_calls}[0]{function}{name}, 'look_up', 'a tool call') or diag $r->body;

$r = $gw->http(POST => '/mock/v1/embeddings', {}, '{"model":"m","input":["a","b"]}');
is(scalar @{ $r->json->{data} }, 2, 'embeddings');

my $wav = do { local $/; open my $f, '<:raw', fixture('audio/hello.wav') or die $!; <$f> };
$r = $gw->http(POST => '/transcribe', { 'Content-Type' => 'audio/wav' }, $wav);
is($r->status, 200, '/transcribe') or diag $r->body;
ok(length $r->json->{text}, '... a text');
my $seconds = (logged($r))[3];
cmp_ok($seconds, '>', 1.5, "... $seconds seconds");
cmp_ok($seconds, '<', 3, '... as long as the file');
$r = $gw->http(POST => '/transcribe', { 'Content-Type' => 'audio/wav' }, $wav . ("\0" x 15_000_000), timeout => 30);
is($r->status, 200, 'a large upload');

$r = ask('slow');
cmp_ok($r->took, '>', 0.2, 'latency');
cmp_ok($r->took, '<', 2, '... not more');

# ---- chance under a seed -------------------------------------------------------------------

my @one = map { ask('seeded')->status } 1 .. 30;
my @two = map { ask('seeded2')->status } 1 .. 30;
my $fails = grep { $_ != 200 } @one;
ok($fails >= 5 && $fails <= 20, "error_rate 40%: $fails of 30");
is_deeply([ map { $_ == 200 ? 1 : 0 } @one ], [ map { $_ == 200 ? 1 : 0 } @two ], 'the same seed, the same fate');

# ---- faults --------------------------------------------------------------------------------

my %want = (
    stall_header => 504, stall_first => 504, reset => 502, garbage => 502, empty => 502, html => 502,
    rate_limited => 429, quota => 502, auth => 502, error_event => 502,
);
for my $f (@faults) {
    for my $stream (0, 1) {
        my $r = ask("f-$f", $stream ? (stream => $true) : ());
        my $how = $stream ? 'stream' : 'plain';
        if ($want{$f} && !($f eq 'stall_header' && !$stream && $r->status == 504)) {
            is($r->status, $want{$f}, "$f, $how: $want{$f}") or diag $r->wire;
        }
        if ($f =~ /^(?:cut|stall_body)$/) {
            my @e = Test::LLM::Sse::events($r);
            ok($stream ? Test::LLM::Sse::error(@e) && !Test::LLM::Sse::done(@e) : ($r->status >= 500 || !$r->complete), "$f, $how: visibly cut") or diag $r->wire;
        } elsif ($f eq 'malformed_event') {
            is($r->status, 200, "$f, $how: served");
        } else {
            $r = ask("s-$f", $stream ? (stream => $true) : ());
            is($r->status, 200, "$f, $how: the next target answers") or diag $r->wire;
        }
    }
}

# ---- record and replay -----------------------------------------------------------------------

$up->on('/v1/chat/completions' => ok_chat('recorded'));
$r = ask('real', messages => [ { role => 'user', content => 'remember' } ]);
is($r->status, 200, 'a recorded exchange');
my @files;
ok(wait_for(sub { @files = map { glob "$_/*" } glob($gw->dir . '/rec/*'); @files >= 2 }), '... is written') or diag join ' ', @files;
for my $f (@files) {
    is((stat $f)[2] & 0777, 0600, '... readable by its owner only');
    my $text = do { local $/; open my $h, '<', $f; <$h> };
    unlike($text, qr/sk-alpha/, '... without the key');
}
like($gw->log . join('', glob($gw->dir . '/*.log')), qr/\[warn\].*record|personal/i, '... with a warning at start that it holds personal data');
$up->reset;
$r = ask('again', messages => [ { role => 'user', content => 'remember' } ]);
is($r->json && $r->json->{choices}[0]{message}{content}, 'recorded', 'replayed from the recording') or diag $r->wire;
is($up->count, 0, '... without the provider');

# ---- health ----------------------------------------------------------------------------------

$r = $gw->get('/health');
is($r->status, 200, 'llm_health');
like($r->json->{status}, qr/^(?:ok|degraded)$/, '... status');
my ($m) = grep { $_->{name} eq 'mock' } @{ $r->json->{providers} };
ok($m, '... names the providers');
is($gw->http(POST => '/health', {}, 'x')->status, 405, '... GET and HEAD only');

finish();
