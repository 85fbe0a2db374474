# Breaker and concurrency: a provider that fails is left alone and found again;
# more than `inflight` wait in a bounded queue.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker failures=6 error_rate=50% window=30s min=20 open=1s max=2s ramp=1s; }
    llm_provider a2 { dialect openai; base_url http://127.0.0.1:%%UP%%/a2/v1; breaker failures=100 error_rate=50% window=30s min=10 open=60s max=60s; }
    llm_provider a3 { dialect openai; base_url http://127.0.0.1:%%UP%%/a3/v1; breaker failures=3 open=60s max=60s; }
    llm_provider a4 { dialect openai; base_url http://127.0.0.1:%%UP%%/a4/v1; breaker off; }
    llm_provider a5 { dialect openai; base_url http://127.0.0.1:%%UP%%/a5/v1; breaker failures=6 min=1000; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; }
    llm_provider q { dialect openai; base_url http://127.0.0.1:%%UP%%/q/v1; inflight 2 queue=2 wait=1500ms; }
    llm_provider q2 { dialect openai; base_url http://127.0.0.1:%%UP%%/q2/v1; inflight 1 queue=0; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /a/  { llm_pass a b; }
        location /a2/ { llm_pass a2 b; }
        location /a3/ { llm_pass a3; }
        location /a5/ { llm_pass a5 b; }
        location /a4/ { llm_pass a4; }
        location /q/  { llm_pass q; }
        location /q2/ { llm_pass q2 b; }
        location /health { llm_health; }
    }
EOC

my $oops = reply(500, {}, '{"error":{"message":"oops"}}');
sub ask { my ($p, %o) = @_; return chat($gw, 'm', path => "/$p/v1/chat/completions", %o) }
sub queued { my ($q) = grep { $_->{name} eq 'q' } @{ $gw->get('/health')->json->{providers} }; return $q->{waiting} }
sub body { [ POST => "/$_[0]/v1/chat/completions", {}, chat_body('m') ] }

# ---- opens on the sixth consecutive failure ------------------------------------------------

$up->on('/b/*' => ok_chat('from b'));
$up->on('/a/*' => $oops);
ask('a') for 1 .. 5;
is($up->count('/a/*'), 5, 'five failures');
ask('a');
is($up->count('/a/*'), 6, 'the sixth is still sent');
my $r = ask('a');
is($up->count('/a/*'), 6, 'then the breaker is open');
is($r->status, 200, '... and the next target answers');
is($r->header('x-llm-attempts'), 1, '... at the first attempt');
like($gw->log, qr/breaker.*(?:open|"a")/, '... a line in the log');
my $h = $gw->get('/health');
my ($a) = grep { $_->{name} eq 'a' } @{ $h->json->{providers} };
is($a->{breaker}, 'open', '... seen by llm_health') or diag $h->body;

# found again by a real request
$up->on('/a/*' => ok_chat('from a'));
my $again = wait_for(sub { ask('a')->header('x-llm-provider') eq 'a' }, 8);
ok($again, 'a provider that recovered is used again');
ok(wait_for(sub { 10 == grep { ask('a')->header('x-llm-provider') eq 'a' } 1 .. 10 }, 8), '... fully, after the ramp');

# a success in between resets the count
$up->on('/a5/*' => ($oops) x 5, ok_chat('one'), ($oops) x 5, ok_chat('two'));
ask('a5') for 1 .. 11;
$r = ask('a5');
is($r->header('x-llm-provider'), 'a5', 'five and five failures with a success between do not open it')
    or diag $r->head;

# by ratio
$up->on('/a2/*' => map { $oops, ok_chat('x') } 1 .. 20);
ask('a2') for 1 .. 10;
is($up->count('/a2/*'), 10, 'half of ten failed');
ask('a2') for 1 .. 5;
cmp_ok($up->count('/a2/*'), '<=', 11, '... that opens it as well');

# caller faults, key trouble and clients that leave do not count
$up->on('/a3/*' => reply(400, {}, '{"error":{"message":"x","type":"invalid_request_error"}}'));
ask('a3') for 1 .. 5;
is($up->count('/a3/*'), 5, '400 is no failure of the provider');

# the last option is asked now and then even so
$up->on('/a3/*' => $oops);
ask('a3') for 1 .. 3;
my $n = $up->count('/a3/*');
my @r = map { ask('a3') } 1 .. 10;
cmp_ok($up->count('/a3/*') - $n, '<=', 3, 'an open breaker of the only target: at most now and then');
is($r[-1]->status, 503, '... otherwise 503') or diag $r[-1]->wire;
is($r[-1]->header('x-llm-error'), 'gateway_no_target', '... x-llm-error');
ok($r[-1]->header('retry-after'), '... Retry-After');

$up->on('/a4/*' => $oops);
ask('a4') for 1 .. 12;
is($up->count('/a4/*'), 12, 'breaker off');

# the state is kept over a reload
$gw->reload;
$n = $up->count('/a3/*');
ask('a3') for 1 .. 3;
cmp_ok($up->count('/a3/*') - $n, '<=', 1, 'an open breaker stays open over a reload');

# ---- inflight ---------------------------------------------------------------------------

$up->on('/q/*' => [ [ barrier => 'q1' ], @{ ok_chat('served') } ]);
my @c = start_all($gw, map { body('q') } 1 .. 2);
run_all(5, @c, sub { $up->waiting('q1') == 2 });
my @w = start_all($gw, map { body('q') } 1 .. 2);
ok(wait_for(sub { queued() == 2 }), 'two under way, two wait');
is($up->count('/q/*'), 2, '... and are not sent');
$r = ask('q');
is($r->status, 503, 'the queue is full: 503');
is($r->header('x-llm-error'), 'gateway_busy', '... x-llm-error');
ok($r->header('retry-after'), '... Retry-After');
cmp_ok($r->took, '<', 1, '... at once');
$up->release('q1');
run_all(5, @c, @w);
is((grep { $_->status == 200 } @c, @w), 4, 'those that waited are served when a place is free');

$up->on('/q/*' => [ [ barrier => 'q2' ], @{ ok_chat('served') } ]);
@c = start_all($gw, map { body('q') } 1 .. 2);
run_all(5, @c, sub { $up->waiting('q2') == 2 });
$r = ask('q');
is($r->status, 503, 'waited in vain: 503');
cmp_ok($r->took, '>', 1.2, '... after `wait`');
my ($gone) = start_all($gw, body('q'));
wait_for(sub { queued() == 1 });
$gone->abort;
ok(wait_for(sub { queued() == 0 }), 'a client that leaves leaves the queue');
$up->release('q2');
run_all(5, @c);
is((grep { $_->status == 200 } @c), 2, 'the others were served');
$r = ask('q');
is($r->status, 200, 'places are given back, also by a client that left the queue');
is($up->count('/q/*'), 4 + 2 + 1, '... which was never sent');

$up->on('/q2/*' => [ [ barrier => 'q3' ], @{ ok_chat('served') } ]);
@c = start_all($gw, body('q2'));
run_all(5, @c, sub { $up->waiting('q3') == 1 });
$r = ask('q2');
is($r->header('x-llm-provider'), 'b', 'a full provider: the next target');
$c[0]->abort;
ok(wait_for(sub { my ($c) = start_all($gw, body('q2')); run_all(0.1, $c); my $w = $up->waiting('q3'); $c->abort; $w }), 'an aborted request gives its place back');
$up->release('q3');

# a killed worker does not keep places
$up->on('/q2/*' => [ [ barrier => 'q4' ], @{ ok_chat('served') } ]);
@c = start_all($gw, body('q2'));
run_all(5, @c, sub { $up->waiting('q4') == 1 });
$gw->expect_log(qr/exited on signal 9/);
kill 'KILL', $gw->workers;
$up->release('q4');
$c[0]->abort;
ok(wait_for(sub { ($gw->workers)[0] && (ask('q2', timeout => 2)->header('x-llm-provider') // '') eq 'q2' }, 10),
   'a killed worker does not keep its places');

finish();
