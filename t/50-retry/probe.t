# Probes: a provider that does not answer them is stepped over before anybody
# has to ask it, and found again.

use lib 't/lib';
use Test::LLM;

my ($ca, $other) = map { Test::LLM::Tls->new } 1, 2;
my $up = Test::LLM::Upstream->new;
my $tls = Test::LLM::Upstream->new(tls => $ca->cert('api.test'));
my $pace = 'probe interval=50ms timeout=400ms healthy=2 unhealthy=2;';
my $gw = Test::LLM::Gateway->new(workers => 2,
    vars => { UP => $up->port, TLS => $tls->port, CA => $ca->file, OTHER => $other->file },
    env => { KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-000002', KEY_C => 'sk-gamma-00003', ADMIN_TOKEN => 'adm-0123456789abcdef' }, conf => <<"EOC")->start;
    llm_zone t:8m;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; key env:KEY_A; breaker off; $pace
                     header X-Team ops; header X-Path \$uri; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; probe off; }
    llm_provider health { dialect openai; base_url http://127.0.0.1:%%UP%%/health/v1; key client; probe /up?deep=1 interval=50ms; }
    llm_provider claude { dialect anthropic; base_url http://127.0.0.1:%%UP%%/claude; key env:KEY_B; $pace }
    llm_provider google { dialect gemini; base_url http://127.0.0.1:%%UP%%/google/v1beta; key env:KEY_C; $pace }
    llm_provider router { dialect openrouter; base_url http://127.0.0.1:%%UP%%/router/v1; key env:KEY_B; $pace }
    llm_provider idle { dialect openai; base_url http://127.0.0.1:%%UP%%/idle/v1; enabled off; $pace }
    llm_provider good { dialect openai; base_url https://127.0.0.1:%%TLS%%/good; ssl_name api.test; ssl_trusted_certificate %%CA%%; $pace }
    llm_provider name { dialect openai; base_url https://127.0.0.1:%%TLS%%/name; ssl_name else.test; ssl_trusted_certificate %%CA%%; $pace }
    llm_provider alien { dialect openai; base_url https://127.0.0.1:%%TLS%%/alien; ssl_name api.test; ssl_trusted_certificate %%OTHER%%; $pace }
    llm_provider trusting { dialect openai; base_url https://127.0.0.1:%%TLS%%/trusting; ssl_verify off; $pace }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /ab/ { llm_pass a b; }
        location /ba/ { llm_pass b a; }
        location /a/  { llm_pass a; }
        location /health { llm_health; }
        location /metrics { llm_metrics; }
        location /admin/ { llm_admin token=env:ADMIN_TOKEN; }
    }
EOC

sub ask { my ($p) = @_; return chat($gw, 'm', path => "/$p/v1/chat/completions") }
sub seen { my ($name) = @_; my ($p) = grep { $_->{name} eq $name } @{ $gw->get('/health')->json->{providers} }; return $p }
sub becomes { my ($name, $probe, $what) = @_; ok(wait_for(sub { seen($name)->{probe} eq $probe }, 8), $what) or diag to_json(seen($name)) }
my $models = reply(200, {}, '{"object":"list","data":[]}');

$up->on('/*' => $models);
$tls->on('/*' => $models);
$up->on("/$_/v1/chat/*" => ok_chat("from $_")) for qw(a b);

# ---- what is asked ------------------------------------------------------------------------

becomes($_, 'up', "$_ is up") for qw(a health claude google router good trusting);
is(seen('b')->{probe}, 'off', 'no probe');
is(seen('idle')->{probe}, 'unknown', 'a provider that is off is not probed');
is($up->count('/idle/*'), 0, '... not once');

my ($q) = $up->received('/a/*');
is("$q->{method} $q->{path}", 'GET /a/v1/models', 'a probe asks for the list of models');
is($q->{h}{authorization}, 'Bearer sk-alpha-00001', '... with the key');
is($q->{h}{host}, '127.0.0.1:' . $up->port, '... Host');
is($q->{h}{'x-team'}, 'ops', '... and with headers that are the same for all');
is($q->{h}{'x-path'}, undef, '... not with those of a request');
($q) = $up->received('/up*');
is($q->{path}, '/up?deep=1', 'a path of its own is that of the host');
is($q->{h}{authorization}, undef, "... without the clients' keys");
($q) = $up->received('/claude/*');
is($q->{path}, '/claude/v1/models', 'anthropic');
is($q->{h}{'x-api-key'}, 'sk-beta-000002', '... key');
is($q->{h}{'anthropic-version'}, '2023-06-01', '... version');
($q) = $up->received('/google/*');
is($q->{path}, '/google/v1beta/models', 'gemini');
is($q->{h}{'x-goog-api-key'}, 'sk-gamma-00003', '... key');
($q) = $up->received('/router/*');
is($q->{path}, '/router/v1/key', 'openrouter: not its whole catalogue');

($q) = $tls->received('/good/*');
is($q->{h}{host}, '127.0.0.1:' . $tls->port, 'TLS: Host is that of base_url');
is((grep { ($_->{sni} // '') eq 'api.test' } $tls->connections) > 0, 1, '... the server name is ssl_name');
becomes($_, 'down', "$_: a certificate that is not its own") for qw(name alien);
is($tls->count("/$_/*"), 0, '... and nothing is sent to it') for qw(name alien);

# ---- down ----------------------------------------------------------------------------------

is(ask('ab')->header('x-llm-provider'), 'a', 'the first target');
my $n = $up->count('/a/v1/chat/*');
$up->on('/a/v1/models' => reply(503, {}, '{"status":"loading model"}'));
becomes('a', 'down', '503: down');
is(seen('a')->{status}, 'down', '... as a whole');
is($gw->get('/health')->json->{status}, 'degraded', '... the others serve');
my $r = ask('ab');
is($r->header('x-llm-provider'), 'b', 'it is stepped over');
is($r->header('x-llm-attempts'), 1, '... at the first attempt');
is($up->count('/a/v1/chat/*'), $n, '... and not asked');
is(ask('a')->header('x-llm-provider'), 'a', 'with nobody else left it is asked');
$up->on('/b/v1/chat/*' => reply(500, {}, '{}'));
is(ask('ba')->header('x-llm-provider'), 'a', '... as it is at the end of a route');
$up->on('/b/v1/chat/*' => ok_chat('from b'));
like($gw->get('/metrics')->body, qr/^llm_provider_probe\{provider="a",state="down"\} 1$/m, 'seen in the metrics');
like($gw->get('/metrics')->body, qr/^llm_provider_probe\{provider="b",state="off"\} 1$/m, '... as is who has none');
my ($p) = grep { $_->{name} eq 'a' } @{ $gw->http(GET => '/admin/providers', { Authorization => 'Bearer adm-0123456789abcdef' })->json->{providers} };
is($p->{probe}, 'down', '... by the admin API');
like($gw->log, qr/\[error\].*llm provider "a": its probe failed 2 times, it is down: answered with 503/, '... and in the log');

# over a reload, and by whichever worker is left
$gw->reload;
is(ask('ab')->header('x-llm-provider'), 'b', 'it stays down over a reload');
$gw->expect_log(qr/exited on signal 9/);
kill 'KILL', ($gw->workers)[0];
$up->on('/a/v1/models' => $models);
becomes('a', 'up', 'probes go on when a worker dies');
like($gw->log, qr/\[notice\].*llm provider "a": its probe is answered again/, '... a line in the log');
is(ask('ab')->header('x-llm-provider'), 'a', '... and it serves again');

# ---- good and bad answers --------------------------------------------------------------------

for my $case ([ 'no answer', [ 'hang' ] ], [ 'a reset', [ 'rst' ] ], [ 'an end', [ 'fin' ] ],
              [ 'garbage', [ [ raw => "what?\r\n\r\n" ], 'fin' ] ], [ '500', reply(500, {}, '{}') ])
{
    my ($what, $script) = @$case;
    $up->on('/a/v1/models' => $script);
    becomes('a', 'down', "$what: down");
    $up->on('/a/v1/models' => $models);
    becomes('a', 'up', '... and up again');
}

for my $status (401, 403, 404, 429) {
    $up->on('/a/v1/models' => reply($status, {}, '{"error":{"message":"no"}}'));
    $up->forget;
    ok(wait_for(sub { $up->count('/a/v1/models') > 3 }, 8), "$status: asked on");
    is(seen('a')->{probe}, 'up', '... somebody is there');
}

# what follows the head is of no interest
$up->on('/a/v1/models' => [ [ status => 200 ], [ chunk_raw => 'x' ], 'hang' ]);
$up->forget;
ok(wait_for(sub { $up->count('/a/v1/models') > 3 }, 8), 'a body without an end');
is(seen('a')->{probe}, 'up', '... is not waited for');

finish();
