# The private redis-server: what it is asked to be, and how it fails.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;
use IO::Socket::SSL ();

my $redis = Test::LLM::Redis->new(unix => 1, debug => 1);
is($redis->cmd('SET', 'k', "a\r\nb"), 'OK', 'SET');
is($redis->cmd('GET', 'k'), "a\r\nb", 'GET');
is($redis->cmd('GET', 'none'), undef, 'nothing');
is($redis->cmd('INCRBY', 'n', 41), 41, 'a number');
is_deeply($redis->cmd('MGET', 'k', 'none', 'n'), [ "a\r\nb", undef, 41 ], 'a list');
is_deeply([ $redis->try('INCR', 'k') ],
    [ undef, 'ERR value is not an integer or out of range' ], 'an error');
ok(!eval { $redis->cmd('INCR', 'k'); 1 }, '... that dies in cmd');
is_deeply([ $redis->pipeline([ 'INCR', 'n' ], [ 'LPUSH', 'k', 1 ], [ 'GET', 'n' ]) ],
    [ [ 42, undef ], [ undef, 'WRONGTYPE Operation against a key holding the wrong kind of value' ],
      [ 42, undef ] ], 'a pipeline');
ok(-S $redis->socket, 'a unix socket');
is($redis->cmd('DEBUG', 'SLEEP', 0), 'OK', 'DEBUG is allowed when asked for');

# commandstats
$redis->reset_calls;
$redis->cmd('EVAL', "redis.call('GET', KEYS[1]) return 1", 1, 'k') for 1 .. 3;
$redis->cmd('SET', 'a', 1);
my $calls = $redis->calls;
is_deeply([ @$calls{qw(eval get set)} ], [ 3, 3, 1 ], 'calls by command');
is($redis->operations('get'), 4, 'round trips, without what a script did');

# subscriptions
my $sub = Test::LLM::Resp->connect($redis->port);
$sub->ask('SUBSCRIBE', 'c');
$redis->cmd('PUBLISH', 'c', 'hello');
is_deeply(($sub->read_reply)[0], [ 'message', 'c', 'hello' ], 'a message');
is(($sub->read_reply(0.05))[1], 'timeout', 'and no other');

# FLUSHALL, a stop, a restart
$redis->flush;
is_deeply([ $redis->keys ], [], 'FLUSHALL');
$redis->pause;
my $probe = Test::LLM::Resp->connect($redis->port, 0.3);
ok($probe, 'a paused server is connected to');
is(($probe->ask('PING'))[1], 'timeout', '... and does not answer');
$redis->resume;
is($redis->cmd('PING'), 'PONG', 'it goes on');
my $run = $redis->info('server')->{run_id};
my $port = $redis->port;
$redis->kill_hard;
is(($redis->try('PING'))[1], 'no connection', 'a killed one refuses');
$redis->start;
is($redis->port, $port, 'it comes back on its port');
isnt($redis->info('server')->{run_id}, $run, '... with another run id');

# what others must not do
my $shut = Test::LLM::Redis->new(password => 'pw-redis-1', users => [
    'app on >pw-app ~llmgw:* &llmgw:* +get +set +ping' ]);
is($shut->cmd('SET', 'x', 1), 'OK', 'the test has the password');
my $other = Test::LLM::Resp->connect($shut->port);
like(($other->ask('GET', 'x'))[1], qr/^NOAUTH/, 'others need it');
is(($other->ask('AUTH', 'app', 'pw-app'))[0], 'OK', 'a user of the ACL');
like(($other->ask('GET', 'x'))[1], qr/^NOPERM/, '... with its keys only');
is(($other->ask('SET', 'llmgw:x', 1))[0], 'OK', '... which it has');
like(($shut->try('DEBUG', 'SLEEP', 0))[1], qr/DEBUG command not allowed/, 'no DEBUG by default');

# TLS
my $ca = Test::LLM::Tls->new;
my $tls = Test::LLM::Redis->new(tls => $ca->cert('redis.test'), ca => $ca->file);
my $s = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $tls->tls_port,
    SSL_ca_file => $ca->file, SSL_verifycn_name => 'redis.test',
    SSL_verifycn_scheme => 'http') or diag IO::Socket::SSL::errstr();
ok($s, 'TLS');
print $s Test::LLM::Resp::encode('PING');
sysread $s, my $pong, 16;
is($pong, "+PONG\r\n", '... and an answer');

# a replica, promoted
my ($primary, $replica) = Test::LLM::Redis->pair;
$primary->cmd('SET', 'a', 1);
ok(wait_for(sub { ($replica->cmd('GET', 'a') // '') eq 1 }), 'a replica follows');
like(($replica->try('SET', 'b', 1))[1], qr/^READONLY/, '... and is read only');
my $sentinel = Test::LLM::Redis->sentinel(master => $primary, name => 'm1');
is($sentinel->master_port, $primary->port, 'a sentinel knows the master');
ok($sentinel->knows_replica, '... and its replica');
$primary->kill_hard;
ok(wait_for(sub { $sentinel->master_port == $replica->port }, 30), 'it fails over');
ok(wait_for(sub { defined(($replica->try('SET', 'b', 1))[0]) }, 10), '... and writes go on');

# a cluster
my @c = Test::LLM::Redis->cluster(3);
my $slot = $c[0]->slot_of('llmgw:{cp}:gen');
my ($has) = grep { $slot >= $_->{slots}[0] && $slot <= $_->{slots}[1] } @c;
my ($not) = grep { $_ != $has } @c;
is($has->cmd('SET', 'llmgw:{cp}:gen', 1), 'OK', 'the master of the slot takes it');
like(($not->try('GET', 'llmgw:{cp}:gen'))[1], qr/^MOVED $slot 127\.0\.0\.1:@{[ $has->port ]}$/,
    'others tell where it is');
$has->cmd('DEL', 'llmgw:{cp}:gen');
$has->move_slot($slot, $not, 'half');
like(($has->try('GET', 'llmgw:{cp}:gen'))[1], qr/^ASK $slot/, 'a slot in migration');
$has->move_slot($slot, $not);
is($not->cmd('SET', 'llmgw:{cp}:gen', 1), 'OK', 'a slot that moved');

# nothing stays when a test dies
pipe my $from, my $to or die $!;
if (!(my $pid = fork)) {
    my $r = Test::LLM::Redis->new;
    syswrite $to, $r->pid . ' ' . $r->port . "\n";
    kill 'KILL', $$;
} else {
    my ($server, $at) = split ' ', readline $from;
    waitpid $pid, 0;
    ok(wait_for(sub { !kill 0, $server }), 'a server ends with its test');
}

finish();
