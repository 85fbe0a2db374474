# Sentinels: they tell where the master is, also after it died, and also when
# one of them does not know.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my $password = 'sentinels-guard-55';
my ($primary, $replica) = Test::LLM::Redis->pair(password => $password);
my ($one, $two) = map { Test::LLM::Redis->sentinel(master => $primary,
    name => 'gw', down_after => 1000) } 1, 2;
ok($two->knows_replica, 'the sentinel knows the replica');

# one that is not there, one that knows another master, one that knows
my $gw = Test::LLM::Gateway->new(workers => 2,
    vars => { DEAD => silent_port(), ONE => $one->port, TWO => $two->port },
    env => { REDIS_PASSWORD => $password }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_redis sentinel=127.0.0.1:%%DEAD%%,127.0.0.1:%%ONE%%,127.0.0.1:%%TWO%%
              master=gw password=env:REDIS_PASSWORD;
    llm_provider canned { dialect mock; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass canned; }
    }
EOC

sub status { return $gw->get('/admin/redis')->json }

ok(wait_for(sub { status()->{connected} }, 30), 'connected') or diag $gw->log;
is(status()->{mode}, 'sentinel', 'the mode');
is(status()->{peer}, $primary->address, 'to the master');
ok(wait_for(sub { $primary->cmd('PUBSUB', 'NUMSUB', 'llmgw:ev')->[1] }, 20),
    'it listens there, too');

# the sentinel that answers goes away: nothing happens
$one->kill_hard;
ok(wait_for(sub { status()->{connected} }, 10), 'a sentinel less');

# ---- a failover -----------------------------------------------------------------

my $node = status()->{node};
$primary->kill_hard;
ok(wait_for(sub { ($two->master_port // 0) == $replica->port }, 60),
    'the sentinel promoted the replica');
my $start = now();
ok(wait_for(sub { my $s = status();
                  $s->{connected} && $s->{peer} eq $replica->address }, 60),
    'the gateway follows');
diag sprintf 'followed %.1f s after the promotion', now() - $start;
ok(wait_for(sub { ($replica->try('ZSCORE', 'llmgw:{cp}:nodes', $node))[0] }, 20),
    'its node lives there');
ok(wait_for(sub { $gw->log =~ /may have lost something/ }, 20),
    'and tells what it knows');

# ---- a planned one: the old master lives on as a replica --------------------------

$primary->start;
ok(wait_for(sub { my ($list) = $two->try('SENTINEL', 'replicas', 'gw');
                  $list && grep { my %r = @$_; $r{port} == $primary->port
                                  && $r{flags} eq 'slave' } @$list }, 60),
    'the old master is a replica now');
ok(wait_for(sub { ((eval { $primary->info('replication') } || {})->{master_link_status}
                  // '') eq 'up' }, 30), 'it has followed');
my ($ok, $error) = (undef, 'x');
wait_for(sub { ($ok, $error) = $two->try('SENTINEL', 'failover', 'gw');
               !defined $error }, 30);
is($error, undef, 'a failover by hand');
ok(wait_for(sub { my $s = status();
                  $s->{connected} && $s->{peer} eq $primary->address }, 60),
    'the gateway follows again') or diag to_json(status());

finish;
