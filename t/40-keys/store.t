# What workers share when there is more of it than expected: more models than a
# pool remembers one by one, a zone with no room, and configurations that come
# and go under requests that are still running.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $short = reply(429, { 'Retry-After' => 60 }, '{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}');
my %env = map { ("K$_\_KEY" => "sk-key-000$_-x") } 'a' .. 'c';

sub gateway {
    my ($zone, $pool, %o) = @_;
    $up->reset;
    $up->on('/a/*' => ok_chat('fine'));
    return Test::LLM::Gateway->new(vars => { UP => $up->port }, env => \%env, %o, conf => conf($zone, $pool))->start;
}

sub conf {
    my ($zone, $pool) = @_;
    my $keys = $pool ? 'keys k;' : '';
    $pool = $pool ? "llm_key_pool k { select in_order; $pool }" : '';
    return <<"EOC";
    llm_zone t:$zone;
    $pool
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; inflight 8; $keys }
    server { listen 127.0.0.1:%%PORT%%; llm_retry 2 backoff=1ms..5ms; location / { llm_pass a; } location = /health { llm_health; } }
EOC
}

sub letter { my ($q) = @_; my ($l) = ($q->{key} // '-') =~ /000(\w)/; return $l // '-' }
sub order { join '', map { letter($_) } $up->received('/a/*') }
sub bad { my ($letter, $script) = @_; $up->on({ path => '/a/*', key => "sk-key-000$letter-x" } => $script) }

# ---- models named by clients -------------------------------------------------------------

my $gw = gateway('4m', 'key env:Ka_KEY; key env:Kb_KEY;');
bad(a => $short);
chat($gw, 'first');
chat($gw, 'first') for 1 .. 2;
is(order(), 'abbb', 'a rest is of one model');
chat($gw, "model-$_") for 1 .. 63;
is(order() =~ tr/a//, 64, '... of each of 64 models');
chat($gw, "more-$_") for 1 .. 20;
is(order() =~ tr/a//, 65, '... all further ones rest together');
chat($gw, 'first');
like(order(), qr/b$/, '... the first is not forgotten');
check($gw);

# ---- a zone without room -----------------------------------------------------------------

my $list = join '', map { sprintf "sk-list-%04d-key\n", $_ } 1 .. 60;
$gw = gateway('64k', 'keys file:%%DIR%%/list.keys;', files => { 'list.keys' => $list }, secrets => [ split /\n/, $list ]);
$up->on({ path => '/a/*', key => 'sk-list-0001-key' } => $short);
is(chat($gw, 'm')->status, 200, 'a zone with no room for a model: requests are served');
chat($gw, 'm') for 1 .. 3;
is((grep { $_->{key} eq 'sk-list-0001-key' } $up->received('/a/*')), 1, '... and the worker remembers by itself');
chat($gw, "n$_") for 1 .. 3;
is($gw->get('/health')->status, 200, '... health is shown');
ok(wait_for(sub { $gw->log =~ /llm_zone "t" is full/ }, 4), '... the log says so');
is(() = $gw->log =~ /is full/g, 1, '... once');
check($gw);

my ($code, $text, $log) = Test::LLM::Gateway->new(vars => { UP => 1 }, files => { 'list.keys' => $list }, secrets => [ split /\n/, $list ],
    conf => conf('32k', 'keys file:%%DIR%%/list.keys;'))->test_conf;
is($code, 1, 'a zone too small for the pool itself is an error');
like("$text$log", qr/llm_zone "t" of 32k is too small for llm_key_pool "k"/, '... that says which');

# ---- configurations come and go ------------------------------------------------------------

$gw = gateway('4m', 'key env:Ka_KEY; key env:Kb_KEY;');
$up->on('/a/*' => [ [ barrier => 'long' ], @{ ok_chat('at last') } ]);
my @c = start_all($gw, map { [ POST => '/v1/chat/completions', {}, chat_body('m') ] } 1 .. 2);
run_all(5, @c, sub { $up->waiting('long') == 2 });

# the old worker stays for its requests, which hold keys of a pool that is gone
my %old = map { $_ => 1 } $gw->workers;
for my $pool ('', 'key env:Kc_KEY;', '', 'key env:Kb_KEY; key env:Ka_KEY;', '') {
    my $n = () = $gw->log =~ /start worker process \d/g;
    $gw->write_conf(conf('4m', $pool));
    $gw->signal('HUP');
    wait_for(sub { $n < (() = $gw->log =~ /start worker process \d/g) && grep { !$old{$_} } $gw->workers }, 5);
    like($gw->get('/health')->body, qr/\S/, 'health after a reload');
}
ok(kill(0, keys %old), 'the first worker still runs');
like($gw->get('/health')->body, qr/"inflight": *2/, '... its requests are counted');
$up->release('long');
run_all(5, @c);
is((grep { $_->status == 200 } @c), 2, 'its requests end well');
ok(wait_for(sub { !kill 0, keys %old }, 5), '... and it with them');
like($gw->get('/health')->body, qr/"inflight": *0/, '... nothing is counted any more');

# ---- a configuration that is read, but never comes into force ------------------------------

$gw = gateway('4m', 'key env:Ka_KEY; key env:Kb_KEY;');
my $good = $gw->{conf};
my $failed = sub {
    my ($pool) = @_;
    ok(!$gw->reload(conf('4m', $pool) =~ s/server \{/server { listen 127.0.0.1:%%UP%%; /r), 'a reload fails: its port is taken');
    $gw->expect_log(qr/bind\(\) to \S+ failed|still could not bind/);
    ok(wait_for(sub { $gw->log =~ /still could not bind/ }, 10), '... nginx gives up');
};
$failed->('key env:Kc_KEY; key env:Ka_KEY; key env:Kb_KEY;');
bad(a => $short);
chat($gw, 'm') for 1 .. 2;
is(order(), 'abb', 'a key rests after that');
ok($gw->reload($good), 'a reload works');
chat($gw, 'm') for 1 .. 2;
is(order(), 'abbbb', '... and remembers what was learned in between');
ok($gw->reload(conf('4m', 'key env:Ka_KEY; key env:Kc_KEY;')), 'another list');
chat($gw, 'm') for 1 .. 2;
is(order(), 'abbbbcc', '... as well');

# ---- a worker of another zone must not undo what its successors wrote --------------------------

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $state = sub { conf($_[0], 'key env:Ka_KEY; key env:Kb_KEY;') =~ s/llm_zone/llm_state $dir\/llm; llm_zone/r };
$gw = gateway('4m', 'key env:Ka_KEY; key env:Kb_KEY;');
$gw->reload($state->('4m'));
bad(a => reply(400, {}, '{"error":{"message":"no","type":"invalid_request_error"}}'));
chat($gw, 'm');
ok(wait_for(sub { -s "$dir/llm/state.json" }, 5), 'a first state is written');
$up->reset;
$up->on('/a/*' => [ [ barrier => 'late' ], @{ reply(400, {}, '{"error":{"message":"no","type":"invalid_request_error"}}') } ]);
@c = start_all($gw, [ POST => '/v1/chat/completions', {}, chat_body('m') ]);
run_all(5, @c, sub { $up->waiting('late') == 1 });
%old = map { $_ => 1 } $gw->workers;
$gw->write_conf($state->('5m'));
$gw->signal('HUP');
ok(wait_for(sub { grep { !$old{$_} } $gw->workers }, 5), 'a zone of another size');
select undef, undef, undef, 0.2;
$up->on('/a/*' => ok_chat('fine'));
bad(a => $short);
my $before = (stat "$dir/llm/state.json")[1];
chat($gw, 'm');
ok(wait_for(sub { (stat "$dir/llm/state.json")[1] != $before }, 5), '... its state is written');
$up->release('late');
run_all(5, @c);
ok(wait_for(sub { !kill 0, keys %old }, 5), '... the old worker ends');
my $kept = do { local $/; open my $f, '<', "$dir/llm/state.json" or die; <$f> };
like($kept, qr/"until":1\d{12}/, '... and leaves the rest in the file');

# ---- what the provider counts of a send that failed --------------------------------------------

$gw = gateway('4m', 'key env:Ka_KEY limit=1r/d; key env:Kb_KEY limit=9r/d;');
bad(a => reply(200, {}, 'no answer at all'));
is(chat($gw, 'm')->status, 200, 'an answer that is none');
is(order(), 'ab', '... is one of the requests of its key');
$gw = gateway('4m', 'key env:Ka_KEY limit=1r/d; key env:Kb_KEY limit=9r/d;');
bad(a => reply(503, {}, '{"error":{"message":"down"}}'));
chat($gw, 'm');
is(order(), 'aaa', '... a fault of its own is not');

finish();
