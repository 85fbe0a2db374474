# conf.d/migrate.conf does what its comments say: the configuration as it
# stands, with only the addresses of the providers exchanged.

use lib 't/lib';
use Test::LLM;

my $ca = Test::LLM::Tls->new;
my $groq = Test::LLM::Upstream->new(tls => $ca->cert('api.groq.com'));
my $router = Test::LLM::Upstream->new(tls => $ca->cert('openrouter.ai'));
my $whisper = Test::LLM::Upstream->new;
my $dns = Test::LLM::Dns->new('api.groq.com' => [ '127.0.0.1' ], 'openrouter.ai' => [ '127.0.0.1' ]);

my $conf = do { local $/; open my $f, '<', 'conf.d/migrate.conf' or die $!; <$f> };
my %port = ('api.groq.com' => $groq->port, 'openrouter.ai' => $router->port);
$conf =~ s{https://\Q$_\E}{https://$_:$port{$_}} for keys %port;
$conf =~ s{127\.0\.0\.1:8000}{'127.0.0.1:' . $whisper->port}e;
$conf =~ s{(base_url\s+https://[^;]+;)}{$1 ssl_trusted_certificate %%CA%%;}g;
$conf =~ s{resolver\s+[^;]+;}{resolver 127.0.0.1:%%DNS%% ipv6=off;};
$conf =~ s{/var/lib/nginx/llm}{%%DIR%%/state};
$conf =~ s{/etc/nginx/llm/}{%%DIR%%/}g;
$conf =~ s{file:prompts/}{file:%%T%%/../conf.d/prompts/}g;
$conf =~ s{listen\s+8080;}{listen 127.0.0.1:%%PORT%%;};

my $start = sub {
    my (%env) = @_;
    my $gw = Test::LLM::Gateway->new(conf => $conf, vars => { DNS => $dns->port, CA => $ca->file },
        env => { GROQ_API_KEY_1 => 'gsk_one-0001', GROQ_API_KEY_2 => 'gsk_two-0002', OPENROUTER_API_KEY => 'sk-or-three-0003', %env });
    return $gw->start;
};

my $schema = do { local $/; open my $f, '<', 'conf.d/prompts/clinical.schema.json' or die $!; <$f> };

# an object that fits the schema, by the mock of the gateway itself: the answer
# of `canned` when no key is left anywhere
my $gw = $start->(GROQ_API_KEY_1 => '', GROQ_API_KEY_2 => '', OPENROUTER_API_KEY => '');
my $request = to_json({ text => 'Fever for three days, no cough.' });
my $r = $gw->post('/analyze', $request);
is($r->status, 200, 'without a single key: the mock answers /analyze') or diag $r->wire;
is($r->header('x-llm-provider'), 'canned', '... by name');
my $fits = $r->body;
ok(ref from_json($fits), '... JSON');
is($groq->count + $router->count, 0, '... nobody else was asked');
check($gw);

$gw = $start->();
$groq->on('/*' => ok_chat($fits));
$router->on('/*' => ok_chat($fits));
$r = $gw->post('/analyze', $request);
is($r->status, 200, '/analyze') or diag $r->wire;
is($r->header('x-llm-provider'), 'groq', '... goes to groq first');
my ($q) = $groq->received;
is($q->{path}, '/openai/v1/chat/completions', '... path');
is($q->{model}, 'llama-3.3-70b-versatile', '... model');
is($q->{key}, 'gsk_one-0001', '... the first key');
is(from_json($q->{body})->{temperature}, 0.1, '... set temperature');
like($q->{body}, qr/Fever for three days/, '... the text');

# one 429 of the organisation: OpenRouter answers, the other key is not tried
$groq->on('/*' => reply(429, { 'Retry-After' => 600 }, '{"error":{"message":"tokens per day","type":"tokens","code":"rate_limit_exceeded"}}'));
$r = $gw->post('/analyze', $request);
is($r->header('x-llm-provider'), 'openrouter', 'groq limited: OpenRouter');
is($groq->count, 2, '... one 429 for three keys');
($q) = $router->received;
is($q->{model}, 'qwen/qwen2.5-72b-instruct:free', '... its model');
is($q->{h}{'x-title'}, 'clinic', '... its header');
$r = $gw->post('/analyze', $request);
is($groq->count, 2, '... which is remembered');

# a restart keeps it (llm_state)
$gw->quit;
$gw->start;
$r = $gw->post('/analyze', $request);
is($groq->count, 2, '... over a restart, too');

# both failing for a reason that is not "no key left": no canned answer
$router->on('/*' => reply(500, {}, '{}'));
$r = $gw->post('/analyze', $request);
is($r->status, 502, 'a failure is no reason for a canned answer') or diag $r->head;

# /transcribe
$whisper->on('/*' => [ [ json => '{"text":"local"}' ] ]);
my $wav = do { local $/; open my $f, '<:raw', fixture('audio/hello.wav') or die $!; <$f> };
$r = $gw->http(POST => '/transcribe', { 'Content-Type' => 'audio/wav' }, $wav);
is($r->status, 200, '/transcribe') or diag $r->wire;
ok($r->header('x-llm-provider') =~ /^(?:groq|whisper)$/, '... answered');
my @t = grep { $_->{path} =~ /transcriptions/ } $groq->received, $whisper->received;
like($t[-1]{body}, qr/name="language"\r\n\r\nfa\r\n/, '... language=fa');

# /v1/
$r = $gw->get('/v1/models');
ok((grep { $_->{id} eq 'groq-first' } @{ $r->json->{data} }), '/v1/models lists the routes') or diag $r->body;
$r = $gw->get('/health/llm');
ok($r->json && $r->json->{providers}, 'health');


# the phases in which the old way leaves, as the comments of the file say
$gw->stop;

sub phase {
    my ($name, $status, $provider) = @_;
    my $gw = $start->();
    my $r = $gw->post('/analyze', $request);
    is($r->status, $status, "$name: status") or diag $r->wire;
    is($r->header('x-llm-provider'), $provider, "$name: who answers");
    $gw->stop;
}

$groq->on('/*' => ok_chat($fits));
$router->on('/*' => ok_chat($fits));

$conf =~ s{(    variant   blue .*?)100%(;.*\n)(    variant   green .*?)0%(;.*\n)}{${3}100%$4${1}0%$2};
$conf =~ s{^    $_ +green .*# phase 1: remove\n}{}m for 'rollout', 'fallback';
$conf =~ s{(    target  llama-70b)(;\s+# phase 1: )(on=\S+);}{$1 $3$2};
phase('fallback only', 200, 'openrouter');
$router->on('/*' => reply(500, {}, '{}'));
phase('fallback only, OpenRouter fails', 200, 'groq');

(my $later = $conf) =~ s{# (enabled until=)\S+;}{${1}2999-12-31;};
($conf, my $now) = ($later, $conf);
phase('off from some day on', 200, 'groq');

$conf = $now;
$conf =~ s{# (enabled off;)}{$1};
phase('disabled, OpenRouter fails', 502, 'openrouter');

my $before = $groq->count;
$conf =~ s/^llm_$_ \{.*?\n\}\n//ms for 'key_pool groq', 'provider groq', 'model llama-70b', 'route groq-first';
$conf =~ s/^llm_model whisper-turbo .*\n//m;
$conf =~ s/^    target  llama-70b .*\n//mg;
$conf =~ s/^    variant   blue .*\n//m;
$conf =~ s/llm_pass whisper-turbo /llm_pass /;
unlike($conf =~ s/#.*//gr, qr/groq|blue/, 'removed: nothing of it is left');
$router->on('/*' => ok_chat($fits));
phase('removed', 200, 'openrouter');
is($groq->count, $before, 'removed: nobody asks groq');

finish();
