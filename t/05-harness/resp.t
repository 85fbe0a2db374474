# The bad network before Redis, and the server that says what it likes.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;
use Test::LLM::RespProxy;
use Test::LLM::RespServer;

my $redis = Test::LLM::Redis->new;
my $proxy = Test::LLM::RespProxy->new(redis => $redis, seed => 42);

sub conn { Test::LLM::Resp->connect($proxy->port, $_[0]) }

my $c = conn();
is(($c->ask('SET', 'k', 'v' x 100_000))[0], 'OK', 'commands pass');
is(($c->ask('GET', 'k'))[0], 'v' x 100_000, '... and replies');
is_deeply([ map { $_->[0] } $c->pipeline(map { [ 'INCR', 'n' ] } 1 .. 200) ],
    [ 1 .. 200 ], 'a pipeline');
is($proxy->count->{commands}, 202, 'counted');
is($proxy->names->{INCR}, 200, '... by name');

# lost replies: executed all the same
$proxy->set(drop => 1, names => [ 'INCR' ]);
is(($c->ask('GET', 'n'))[0], 200, 'another command');
is(($c->ask('INCR', 'n'))[1], 'closed', 'a dropped reply ends the connection');
is($redis->cmd('GET', 'n'), 201, '... its command was executed');
$proxy->set(mute => 1);
is((conn(0.2)->ask('INCR', 'n'))[1], 'timeout', 'a mute one does not');
is($redis->cmd('GET', 'n'), 202, '... and was executed');

# a share of them, the same for the same seed
my @drops;
for (1, 2) {
    my $other = Test::LLM::RespProxy->new(redis => $redis, seed => 5);
    $other->set(drop => 0.05);
    my $lost = '';
    my $conn;
    for (1 .. 300) {
        $conn = Test::LLM::Resp->connect($other->port) if !$conn || $conn->{broken};
        $lost .= ($conn->ask('PING'))[1] ? 1 : 0;
    }
    push @drops, $lost;
}
is($drops[0], $drops[1], 'a seed decides');
my $n = () = $drops[0] =~ /1/g;
cmp_ok($n, '>', 4, 'about one in twenty');
cmp_ok($n, '<', 31, '... not more');

# twice, late
$redis->cmd('SET', 'n', 0);
$proxy->set(repeat => 1);
$c = conn();
is(($c->ask('INCR', 'n'))[0], 1, 'a command that is executed twice');
is(($c->ask('GET', 'n'))[0], 2, '... with one reply each');
$proxy->set(late => [ 1, 100 ], names => [ 'SET' ]);
is(($c->ask('SET', 'n', 7))[0], 'OK', 'a command');
is(($c->ask('GETSET', 'n', 8))[0], 7, '... overwritten');
ok(wait_for(sub { $redis->cmd('GET', 'n') == 7 }), '... and executed again');
is($proxy->count->{late}, 1, 'counted');

# slow and torn
$proxy->set(delay => [ 100, 120 ]);
my $t = now();
$c->ask('PING');
cmp_ok(now() - $t, '>=', 0.099, 'a delay');
$proxy->set(tear => 1);
$t = now();
is(($c->ask('ECHO', 'x' x 40))[0], 'x' x 40, 'byte by byte');
cmp_ok(now() - $t, '>=', 0.04, '... takes its time');

# partitions
$proxy->set(cut => 'silent');
my $cut = conn(0.2);
ok($cut, 'connecting works');
is(($cut->ask('INCR', 'cut'))[1], 'timeout', 'nothing comes');
is($redis->cmd('GET', 'cut'), undef, '... and nothing got there');
$proxy->set();
ok(wait_for(sub { $redis->cmd('GET', 'cut') }), 'it gets there when it heals');
$proxy->set(cut => 'refuse');
is(($c->ask('PING'))[1], 'closed', 'refused: open ones end');
$c = conn();
is(($c->ask('PING'))[1], 'closed', '... and new ones');
$proxy->set();
is((conn()->ask('PING'))[0], 'PONG', 'healed');
my @two = (conn(0.2), conn());
$_->ask('PING') for @two;
$proxy->set(cut => 'silent', conn => $proxy->count->{connections} - 1);
is(($two[0]->ask('PING'))[1], 'timeout', 'one connection is cut');
is(($two[1]->ask('PING'))[0], 'PONG', '... the other is not');
$proxy->set();

# messages that nobody asked for pass too
my $sub = conn();
$sub->ask('SUBSCRIBE', 'c');
$redis->cmd('PUBLISH', 'c', 'hello');
is_deeply(($sub->read_reply)[0], [ 'message', 'c', 'hello' ], 'a message');
$redis->kill_hard;
is(($sub->read_reply)[1], 'closed', 'the end of the server is the end');
$redis->start;

my $pair = Test::LLM::Redis->new;
$pair->cmd('SET', 'who', 'other');
$proxy->target($pair);
is((conn()->ask('GET', 'who'))[0], 'other', 'another target');

# the server of the test
my $fake = Test::LLM::RespServer->new;
$fake->on(GET => "\$1\r\na\r\n", "-ERR no\r\n");
$fake->on(HANG => { silent => 1 });
$fake->on(TORN => { tear => 1, bytes => "\$20\r\n" . 'y' x 20 . "\r\n" });
$fake->on(BYE => { bytes => "*2\r\n:1\r\n", close => 1 });
my $f = Test::LLM::Resp->connect($fake->port, 0.3);
is(($f->ask('PING'))[0], 'OK', 'the default');
is(($f->ask('GET', 'a'))[0], 'a', 'the first reply');
is(($f->ask('get', 'a'))[1], 'ERR no', '... and the second');
is(($f->ask('TORN'))[0], 'y' x 20, 'torn');
is(($f->ask('BYE'))[1], 'closed', 'half a reply and the end');
$f = Test::LLM::Resp->connect($fake->port, 0.2);
is(($f->ask('HANG'))[1], 'timeout', 'silence');
is_deeply([ $fake->commands ], [ ['PING'], [ 'GET', 'a' ], [ 'get', 'a' ], ['TORN'],
    ['BYE'], ['HANG'] ], 'what it was told');
$fake->greet("-LOADING wait\r\n");
is((Test::LLM::Resp->connect($fake->port)->read_reply)[1], 'LOADING wait', 'a greeting');

finish();
