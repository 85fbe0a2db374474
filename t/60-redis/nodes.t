# Nodes that share one Redis: who lives, who leads, what time it is, and what
# they do when Redis loses its data.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Clock;
use Test::LLM::Nodes;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my ($redis, $replica) = Test::LLM::Redis->pair;

my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis,
    proxies => 1, clock => Test::LLM::Clock->new, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_state %%DIR%%/state;
    llm_redis %%REDIS%% nodes=3;
    llm_provider canned { dialect mock; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass canned; }
    }
EOC

# what each node says; undef where it does not answer (as while it reloads)
sub says {
    return map { my $r = eval { $_->get('/admin/redis') }; $r && $r->json }
        $nodes->nodes;
}

sub all_say {
    my ($test, $seconds) = @_;
    return wait_for(sub { !grep { !($_ && $test->($_)) } says() },
        $seconds || 40);
}

sub leaders { return grep { $_ && $_->{leader} } says() }


# ---- three of them -------------------------------------------------------------

is((says())[0]{nodes}, 3, 'as many as are expected, from the start');
ok(all_say(sub { $_[0]{connected} && @{ $_[0]{live} } == 3 }), 'all know all');

my @s = says();
is_deeply([ sort map { $_->{rank} } @s ], [ 0, 1, 2 ], 'three ranks');
is_deeply($s[0]{live}, [ sort map { $_->{node} } @s ], 'in order of their names');
is_deeply($s[1]{live}, $s[0]{live}, 'all agree');
is(scalar(grep { $_->{live}[ $_->{rank} ] eq $_->{node} } @s), 3,
    'the rank is the place in that list');
ok(wait_for(sub { leaders() == 1 }, 20), 'one leads');
is(scalar(grep { $_->{term} == 1 } says()), 3, 'in the first term');
ok(all_say(sub { $_[0]{seen} }), 'all is seen');

# what it costs
$redis->reset_calls;
select undef, undef, undef, 3.0;
my $calls = $redis->calls;
cmp_ok($calls->{evalsha} // 0, '<=', 15, 'three seconds of three nodes: a few scripts');
cmp_ok($calls->{evalsha} // 0, '>=', 6, '... but some');


# ---- a clock that is off ---------------------------------------------------------

ok(abs($s[0]{skew_ms}) < 2000, 'clocks agree');
$nodes->clock(0, 300_000);
ok(wait_for(sub { abs((says())[0]{skew_ms} + 300_000) < 2000 }, 30),
    'five minutes ahead: it knows');
ok(abs((says())[1]{skew_ms}) < 2000, 'the others are not');
$nodes->clock(0, 0);
ok(wait_for(sub { abs((says())[0]{skew_ms}) < 2000 }, 30), 'back again');
ok(all_say(sub { $_[0]{connected} && $_[0]{nodes} == 3 }), 'still three');


# ---- one leaves, and comes back ---------------------------------------------------

my ($leader) = grep { (says())[$_]{leader} } 0 .. 2;
my $name = (says())[$leader]{node};
my $term = (says())[$leader]{term};
$nodes->leave($leader);

ok(all_say(sub { @{ $_[0]{live} } == 2 }, 10), 'one has left: the others know');
is((says())[0]{nodes}, 3, 'its share is not given away yet');
ok(wait_for(sub { leaders() == 1 }, 10), 'another one leads');
is(scalar(grep { $_->{term} == $term + 1 } says()), 2, 'in the next term');

$nodes->back($leader);
ok(all_say(sub { @{ $_[0]{live} } == 3 }, 20), 'it is back');
is((says())[$leader]{node}, $name, 'under its old name');

$nodes->reload(1);
ok(all_say(sub { @{ $_[0]{live} } == 3 }, 20), 'a reload: all know all');


# ---- a partition -------------------------------------------------------------------

($leader) = grep { (says())[$_]{leader} } 0 .. 2;
$term = (says())[$leader]{term};
$nodes->proxy($leader)->set(cut => 'silent');

my $most = 0;
my $new = wait_for(sub {
    my @leaders = leaders();
    $most = @leaders if @leaders > $most;
    return grep { $_->{term} > $term } @leaders;
}, 40);
ok($new, 'the leader is cut off: another one leads');
is($most, 1, 'never two at once');
ok(wait_for(sub { !(says())[$leader]{connected} }, 20), 'it knows that it is cut off');
is((says())[$leader]{nodes}, 3, 'and how many there were');
$nodes->proxy($leader)->set;
ok(all_say(sub { $_[0]{connected} }, 60), 'healed');


# ---- Redis loses everything ---------------------------------------------------------

$redis->flush;
my ($least, $learned) = (3, 0);
ok(wait_for(sub {
    my @all = says();
    for (@all) {
        $least = @{ $_->{live} } if @{ $_->{live} } < $least;
        $learned++ if $_->{learning};
    }
    return $learned >= 3;
}, 30), 'FLUSHALL: all learn');
ok(all_say(sub { !$_[0]{learning} }, 20), 'not for long');
is($least, 3, 'nobody forgot the others');
ok(all_say(sub { @{ $_[0]{live} } == 3 && $_[0]{nodes} == 3 }, 20), 'three again');
like($nodes->node(1)->log, qr/llm: redis \S+ may have lost something/, 'the log says so');


# ---- a failover ------------------------------------------------------------------------

$replica->synced;
my $boot = $replica->cmd('GET', 'llmgw:{cp}:boot');
$replica->promote;
$_->target($replica) for $nodes->proxies;
$_->close_all for $nodes->proxies;
$redis->kill_hard;
ok(wait_for(sub { ($replica->cmd('GET', 'llmgw:{cp}:boot') // '') ne $boot }, 30),
    'failover: another run, another boot');
ok(all_say(sub { $_[0]{connected} && @{ $_[0]{live} } == 3 }, 40),
    'failover: all are there');
ok(wait_for(sub { leaders() == 1 }, 20), 'failover: one leads');

# a restart without persistence is a loss as well
my $lost = () = $nodes->node(2)->log =~ /may have lost something/g;
delete $replica->{replica_of};
$replica->restart;
ok(wait_for(sub {
    (() = $nodes->node(2)->log =~ /may have lost something/g) > $lost;
}, 40), 'a restart: noticed');
ok(all_say(sub { $_[0]{connected} && @{ $_[0]{live} } == 3 }, 40),
    'a restart: all are there');

finish;
