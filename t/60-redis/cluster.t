# Redis Cluster: slots, MOVED and ASK, a node that dies, a cluster that is down.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my @node = Test::LLM::Redis->cluster(3);

# what the unit test says of slots
is($node[0]->slot_of($_->[0]), $_->[1], "slot of $_->[0]")
    for [ 'foo{}{bar}', 8363 ], [ 'foo{{bar}}zap', 4015 ], [ 'foo', 12182 ];

my $gw = Test::LLM::Gateway->new(workers => 2,
    vars => { DEAD => silent_port(), ANY => $node[0]->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_redis 127.0.0.1:%%DEAD%% 127.0.0.1:%%ANY%% cluster prefix=c:;
    llm_provider canned { dialect mock; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass canned; }
    }
EOC

sub status { return $gw->get('/admin/redis')->json }
sub alive { my $n = status()->{counts}{replies};
            return wait_for(sub { status()->{counts}{replies} > $n + 1 }, 30) }

ok(wait_for(sub { status()->{connected} }, 40), 'connected') or diag $gw->log;
is(status()->{mode}, 'cluster', 'the mode');

my $slot = $node[0]->slot_of('c:{cp}:nodes');
my ($owner) = grep { $_->{slots}[0] <= $slot && $slot <= $_->{slots}[1] } @node;
my ($other) = grep { $_ != $owner } @node;
my $name = status()->{node};

ok(wait_for(sub { ($owner->try('ZSCORE', 'c:{cp}:nodes', $name))[0] }, 20),
    'the node lives where its slot is');
ok(wait_for(sub { grep { $_->cmd('PUBSUB', 'NUMSUB', 'c:ev')->[1] } @node }, 20),
    'somewhere it listens');
is(status()->{counts}{errors}, 0, 'no error');


# ---- a slot on its way: ASK ------------------------------------------------------

# every key of the slot has gone already, so the owner sends clients on
sub migrate {
    my ($from, $to, $half) = @_;
    $from->move_slot($slot, $to, 'half');
    for (1 .. 100) {
        my $keys = $from->cmd('CLUSTER', 'GETKEYSINSLOT', $slot, 100);
        last unless @$keys;
        $from->cmd('MIGRATE', '127.0.0.1', $to->port, '', 0, 5000, 'KEYS', @$keys);
    }
    return if $half;
    my $id = $to->node_id;
    $_->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id)
        for $to, $from, grep { $_ != $to && $_ != $from } @node;
}

my $redirects = status()->{counts}{redirects};
migrate($owner, $other, 'half');
ok(wait_for(sub { status()->{counts}{redirects} > $redirects }, 20), 'ASK: followed');
ok(alive(), 'ASK: answers');
ok(wait_for(sub { my ($s) = $other->pipeline([ 'ASKING' ],
                      [ 'ZSCORE', 'c:{cp}:nodes', $name ]); 1 }, 5), 'ASK: asked');


# ---- the slot has moved: MOVED -----------------------------------------------------

migrate($owner, $other);
ok(wait_for(sub { ($other->try('ZSCORE', 'c:{cp}:nodes', $name))[0] }, 20),
    'MOVED: the node lives there now');
ok(alive(), 'MOVED: answers');
ok(wait_for(sub { $gw->log =~ /slots that moved/ }, 20),
    'MOVED: it tells again what it knows');

# from now on the right node is asked at once
select undef, undef, undef, 2.5;
$redirects = status()->{counts}{redirects};
ok(alive(), 'and again');
is(status()->{counts}{redirects}, $redirects, 'learned: no redirection any more');


# ---- a node dies: CLUSTERDOWN, then back ------------------------------------------

my ($third) = grep { $_ != $owner && $_ != $other } @node;
$third->kill_hard;
ok(wait_for(sub { my ($v, $e) = $other->try('GET', 'c:{cp}:gen');
                  ($e // '') =~ /CLUSTERDOWN/ }, 40), 'the cluster is down');
my $errors = status()->{counts}{errors};
ok(wait_for(sub { status()->{counts}{errors} > $errors }, 20),
    'CLUSTERDOWN: counted as an error');

my $start = now();
my $r = $gw->post('/v1/chat/completions', chat_body('x'),
    'Content-Type' => 'application/json');
is($r->status, 200, 'CLUSTERDOWN: requests are served');
cmp_ok(now() - $start, '<', 0.5, '... at once');

$third->start;
ok(wait_for(sub { my ($v, $e) = $other->try('ZCARD', 'c:{cp}:nodes');
                  !$e && $v }, 60), 'the cluster is back');
ok(alive(), 'and the node in it');


# ---- the owner itself is stopped, and killed ----------------------------------------

$other->pause;
ok(wait_for(sub { status()->{counts}{timeouts} }, 30), 'the owner is stopped: noticed');
$other->resume;
ok(alive(), 'it goes on') or diag to_json(status());
$other->restart;
ok(wait_for(sub { ($other->try('ZSCORE', 'c:{cp}:nodes', $name))[0] }, 60),
    'the owner lost its data: the node is there again');
ok(wait_for(sub { $gw->log =~ /another run of it|its data is another/ }, 20),
    'and tells what it knows');

finish;
