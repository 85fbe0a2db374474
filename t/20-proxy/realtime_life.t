# The life of sessions: who may begin one and how many, how long it may be
# silent, what it takes, and what a reload leaves of it.

use lib 't/lib';
use Test::LLM;
use Test::LLM::WebSocket;
use Test::LLM::WsServer;

use Digest::SHA qw(sha256_hex);

my $ca = Test::LLM::Tls->new;
my $tls = $ca->cert('localhost', 'DNS:localhost', 'IP:127.0.0.1');
my $ws = Test::LLM::WsServer->new;
my $up = Test::LLM::Upstream->new;
my $key = 'llmgw-client-key-0001';
my $gw = Test::LLM::Gateway->new(vars => { WS => $ws->port, UP => $up->port, CA => $ca->file, CERT => $tls->{cert}, CKEY => $tls->{key} }, secrets => [ $key ],
    env => { KEY_A => 'sk-alpha-00001', KEY_G => 'AIza-gemini-0001' },
    files => { 'clients.json' => to_json({ clients => [ { id => 'web', keys => [ { sha256 => sha256_hex($key) } ] } ] }) },
    main => 'worker_shutdown_timeout 2s;',
    conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_clients file:clients.json;
    log_format llm '$request_id|$status|$llm_status_class|$llm_error|$llm_attempts|$llm_key|$llm_input_tokens|$llm_cached_tokens|$llm_output_tokens|$llm_audio_seconds|$llm_cost|$llm_variant|$llm_client|$request_time';
    access_log %%DIR%%/llm.log llm;
    llm_provider a    { dialect openai; base_url http://127.0.0.1:%%WS%%/a/v1; key env:KEY_A name=one; timeout total=400ms; }
    llm_provider mute { dialect openai; base_url http://127.0.0.1:%%WS%%/mute/v1; timeout tunnel=600ms; }
    llm_provider slot { dialect openai; base_url http://127.0.0.1:%%WS%%/slot/v1; inflight 1; timeout tunnel=60s; }
    llm_provider own  { dialect openai; base_url http://127.0.0.1:%%WS%%/own/v1; key client; }
    llm_provider down { dialect gemini; base_url http://127.0.0.1:%%UP%%; }
    llm_provider live { dialect gemini; base_url http://127.0.0.1:%%WS%%; key env:KEY_G; }
    llm_provider far  { base_url https://127.0.0.1:%%PORT_FAR%%/far/v1; key env:KEY_A; ssl_trusted_certificate %%CA%%; ssl_name localhost; }
    llm_model distant { provider far; id d; price input=1 output=1; }
    llm_model voice { provider a; id gpt-realtime-2; price input=32 cached=1 output=64; }
    llm_model other { provider a; id gpt-realtime-mini; }
    llm_split s { variant blue voice 50%; variant green other 50%; sticky $http_x_user; force $http_x_variant allow=127.0.0.0/8; }
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
    ssl_certificate %%CERT%%;
    ssl_certificate_key %%CKEY%%;
    server { listen 127.0.0.1:%%PORT_FAR%% ssl; location / { proxy_pass http://127.0.0.1:%%WS%%; } }
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_TLS%% ssl;
        location /wss/ { proxy_pass https://127.0.0.1:%%PORT_TLS%%/v1/; }
        add_header X-Id $request_id always;
        llm_retry 1 backoff=1ms..2ms deadline=500ms;
        location /v1/    { llm_pass $llm_model; }
        location /mute/  { llm_pass mute; }
        location /s/     { llm_pass s; }
        location /slot/  { llm_pass slot; }
        location /own/   { llm_pass own; }
        location /auth/  { llm_auth on; llm_pass voice; }
        location /lim/   { llm_limit parallel=1 1000t/h; llm_pass voice; }
        location /ws/    { llm_endpoint passthrough; rewrite ^ $uri break; llm_pass live; }
        location /spare/ { llm_endpoint passthrough; rewrite ^/spare(.*) $1 break; llm_pass down live; }
        location = /metrics { llm_metrics; }
        location = /health  { llm_health; }
    }
EOC

sub session { my ($path, $h, %o) = @_; return Test::LLM::WebSocket->connect($gw->port, $path, $h, %o) }
sub last_session { return ($ws->sessions)[-1] }
sub logged {
    my ($s) = @_;
    my $id = $s->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) // '';
    my %f;
    @f{qw(id status class error attempts key input cached output audio cost variant client time)} = split /\|/, $line;
    return \%f;
}
sub metric { my ($re) = @_; my $n = 0; $n += $_ for $gw->get('/metrics')->body =~ /^$re\S* (\S+)$/mg; return $n }
sub inflight { my ($name) = @_; my ($p) = grep { $_->{name} eq $name } @{ $gw->get('/health')->json->{providers} }; return $p->{inflight} }

# ---- time ---------------------------------------------------------------------------------

my $s = session('/v1/realtime?model=voice', {});
select undef, undef, undef, 0.6;                # longer than total and deadline
is($s->ask('still there?'), 'still there?', 'neither total nor the deadline ends a session');
$s->close;
my $l = logged($s);
is($l->{class}, 'ok', '... which is well');
cmp_ok($l->{time}, '>=', 0.6, '... and took its time');

my $m = session('/mute/realtime', {});
is($m->ask('x'), 'x', 'a session that goes silent');
is($m->ended(5), 'eof', '... is ended');
cmp_ok($m->took, '>=', 0.58, '... not too early');
is(logged($m)->{class}, 'timeout_idle', '... and called so');
ok(wait_for(sub { last_session()->{ended} }), '... on both sides');
$m = session('/mute/realtime', {});
for (1 .. 5) {
    select undef, undef, undef, 0.2;
    $m->ping('x');
}
is($m->ask('y'), 'y', 'whoever says something keeps it');
$m->close;

# ---- slots, limits --------------------------------------------------------------------------

my $first = session('/slot/realtime', {});
is(inflight('slot'), 1, 'a session holds a slot of its provider');
$s = session('/slot/realtime', {});
is($s->status . $s->header('x-llm-error'), '503gateway_busy', '... until it ends');
$first->close;
ok(wait_for(sub { inflight('slot') == 0 }), '... and gives it back');
$s = session('/slot/realtime', {});
is($s->status, 101, '... to the next');
$s->hang_up('hard');
ok(wait_for(sub { inflight('slot') == 0 }), '... also without a word');

$first = session('/lim/realtime', {});
$s = session('/lim/realtime', {});
is($s->status . $s->header('x-llm-error'), '429policy_rate_limited', 'parallel=1 counts sessions');
$first->close;
ok(wait_for(sub { my $s = session('/lim/realtime', {}); my $ok = $s->open; $s->close if $ok; $ok }), '... while they last');

# ---- usage ----------------------------------------------------------------------------------

sub event { my ($s, %e) = @_; $s->command(event => to_json(\%e)); return $s->hear }
my $usage = { total_tokens => 300, input_tokens => 200, output_tokens => 100,
    input_token_details => { text_tokens => 20, audio_tokens => 180, cached_tokens => 50, cached_tokens_details => { text_tokens => 0, audio_tokens => 50 } },
    output_token_details => { text_tokens => 10, audio_tokens => 90 } };

$s = session('/v1/realtime?model=voice', {});
event($s, type => 'session.created', event_id => 'e1');
event($s, type => 'response.output_audio.delta', delta => 'A' x 20000);
event($s, event_id => 'e2', type => 'response.done', response => { id => 'r1', output => [ { usage => { input_tokens => 9 } } ], usage => $usage }) for 1 .. 2;
$s->close;
$l = logged($s);
is("$l->{input} $l->{cached} $l->{output}", '400 100 200', 'tokens of all answers of a session');
is($l->{cost}, '0.0225', '... and what they cost');
$s = session('/v1/realtime?model=voice', {});
event($s, type => 'conversation.item.input_audio_transcription.completed', transcript => 'hi', usage => { type => 'duration', seconds => 7 });
$s->close;
is(logged($s)->{audio} + 0, 7, 'seconds of a transcription');
$s = session('/v1/realtime?model=voice', {});
$s->command(compressed => to_json({ type => 'response.done', response => { usage => $usage } }));
$s->hear;
$s->close;
$l = logged($s);
is("$l->{input}$l->{output}$l->{cost}", '---', 'of compressed frames nothing is known');
is($l->{class}, 'ok', '... but that they ended');

# a limit sees what a session takes while it lasts
$first = session('/lim/realtime', {});
event($first, type => 'response.done', response => { usage => { input_tokens => 600, output_tokens => 500 } });
$first->close;
ok(wait_for(sub { my $s = session('/lim/realtime', {}); my $e = $s->header('x-llm-error') // ''; $s->close if $s->open; $e eq 'policy_rate_limited' }), 'tokens of a session count for limits');

# ---- TLS on both sides ------------------------------------------------------------------------

$s = session('/wss/realtime?model=distant', {});
is($s->status, 101, 'wss, there and back');
my $big = join '', map { chr(32 + $_ % 90) } 1 .. 1 << 20;
is($s->ask($big, timeout => 20) eq $big, 1, '... 1 MB');
event($s, type => 'response.done', response => { usage => { input_tokens => 3, output_tokens => 4 } });
$s->close;
my ($line) = wait_for(sub { (grep { /\|3\|-\|4\|/ } split /\n/, $gw->access('llm.log'))[0] });
like($line, qr/\|101\|ok\|/, '... and what it took');

# ---- who ------------------------------------------------------------------------------------

$s = session('/auth/realtime', {});
is($s->status, 401, 'nobody');
is(session('/auth/realtime', {}, protocol => 'realtime, openai-insecure-api-key.llmgw-wrong')->status, 401, 'somebody else');
$s = session('/auth/realtime', {}, protocol => "realtime, openai-insecure-api-key.$key");
is($s->status, 101, 'a browser, by its subprotocol');
is($s->header('sec-websocket-protocol'), 'realtime', '... which goes nowhere');
unlike(last_session()->{head}, qr/\Q$key\E/, '... not to the provider either');
$s->close;
is(logged($s)->{client}, 'web', '... and is a client');
session('/auth/realtime', { Authorization => "Bearer $key" })->close;
is(last_session()->{h}{authorization}, 'Bearer sk-alpha-00001', 'or by its header');

session('/own/realtime', {}, protocol => 'realtime, openai-insecure-api-key.ek_123')->close;
is(last_session()->{h}{authorization}, 'Bearer ek_123', '`key client`: the key of a browser is made a header');

# ---- variants -------------------------------------------------------------------------------

my %seen;
for my $user (map { "u$_" } 1 .. 12) {
    my @v = map { my $s = session('/s/realtime', { 'X-User' => $user }); $s->close; $s->header('x-llm-variant') } 1, 2;
    is($v[0], $v[1], "$user stays") if $user eq 'u1';
    $seen{ $v[0] }++;
}
is(join(' ', sort keys %seen), 'blue green', 'sessions are split');
for my $v (qw(blue green)) {
    $s = session('/s/realtime', { 'X-Variant' => $v });
    is($s->header('x-llm-variant'), $v, "$v by hand");
    is(last_session()->{path}, '/a/v1/realtime?model=' . ($v eq 'blue' ? 'gpt-realtime-2' : 'gpt-realtime-mini'), '... with its model');
    $s->close;
    is(logged($s)->{variant}, $v, '... and in the log');
}

# ---- a provider's own path ----------------------------------------------------------------------

my $path = '/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent';
$s = session("$path?key=AIza-client-key&access_token=x&alt=1", { 'x-goog-api-key' => 'AIza-client-key' });
is($s->status, 101, 'Gemini Live');
is(last_session()->{path}, "$path?alt=1", 'has its own path');
is(last_session()->{h}{'x-goog-api-key'}, 'AIza-gemini-0001', '... and gets the key of the provider');
is($s->ask('{"setup":{}}', binary => 1), '{"setup":{}}', '... and says what it likes');
$s->close;
is(logged($s)->{class}, 'ok', '... to the end');
$up->on('/*' => reply(500, {}, '{"error":{"message":"no"}}'));
$s = session("/spare$path", {});
is($s->status . $s->header('x-llm-provider'), '101live', 'what refuses the handshake is followed by the next');
$s->close;

# ---- requests about sessions ------------------------------------------------------------------

$up->on('/*' => reply(200, {}, '{"value":"ek_1","expires_at":1}'));
$gw->reload($gw->{conf} =~ s/(llm_provider a .*?)WS%%/$1UP%%/r);
my $r = $gw->post('/v1/realtime/client_secrets', to_json({ session => { type => 'realtime', model => 'voice', instructions => 'x' } }));
is($r->status . $r->body, '200{"value":"ek_1","expires_at":1}', 'a secret for a browser');
my ($q) = ($up->received)[-1];
is($q->{path}, '/a/v1/realtime/client_secrets', '... asked for at its path');
is(from_json($q->{body})->{session}{model}, 'gpt-realtime-2', '... for the model of the target');
is($q->{key}, 'sk-alpha-00001', '... with its key');
$gw->post('/v1/realtime/sessions', '{"model":"other","voice":"alloy"}');
is(($up->received)[-1]{body}, '{"model":"gpt-realtime-mini","voice":"alloy"}', 'a session of the first kind');
$gw->http(POST => '/v1/realtime/calls?model=voice', { 'Content-Type' => 'application/sdp' }, "v=0\r\n");
is(($up->received)[-1]{path} . ($up->received)[-1]{body}, "/a/v1/realtime/calls?model=gpt-realtime-2v=0\r\n", 'a call');
$gw->http(POST => '/s/realtime/calls/rtc_1/hangup', {}, '');
is(($up->received)[-1]{path}, '/a/v1/realtime/calls/rtc_1/hangup', 'its end');
for my $two ([ '', { model => 'voice', session => { model => 'other' } } ], [ '?model=voice', { session => { model => 'other' } } ]) {
    $r = $gw->post("/v1/realtime/client_secrets$two->[0]", to_json($two->[1]));
    is($r->status . $r->header('x-llm-error'), '400caller_duplicate_key', 'two models');
}
$gw->reload($gw->{conf} =~ s/(llm_provider a .*?)UP%%/$1WS%%/r);

# ---- back-pressure, reload ----------------------------------------------------------------------

$s = session('/v1/realtime?model=voice', {}, rcvbuf => 65536);
$s->command(send => 16 << 20);
my ($pid) = $gw->workers;
my $rss = sub { open my $f, '<', "/proc/$pid/status" or return 0; my ($n) = join('', <$f>) =~ /VmRSS:\s*(\d+)/; return $n };
my $before = $rss->();
select undef, undef, undef, 0.3;
cmp_ok($rss->() - $before, '<', 4000, 'a client that does not read stops the provider');
is(length($s->hear(30) // ''), 16 << 20, '... and misses nothing');
$s->close;

my $old = session('/v1/realtime?model=voice', {});
$old->ask('a');
$gw->reload;
is($old->ask('b'), 'b', 'a reload leaves sessions alone');
$s = session('/v1/realtime?model=voice', {});
is($s->ask('c'), 'c', '... and begins new ones');
my $attempts = metric('llm_attempts_total\{[^}]*class="ok"');
cmp_ok($attempts, '>', 5, 'sessions are counted');
like($old->ended(6), qr/^(?:eof|reset)$/, 'worker_shutdown_timeout ends them');
is($s->ask('d'), 'd', '... but no others');
$s->close;

finish();
