# What Redis costs requests: few operations, and no time, least of all when it
# has stopped.  Latencies are told, not judged: other work is on the machine.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

my $path = '/lim/v1/chat/completions';
my $server = <<'EOC';
        location /lim/ { llm_limit per=$http_x_client 600r/m 100000000t/m; llm_limit 100000000r/m; llm_pass m; }
EOC
my @as = map { { client => "c$_", headers => { 'X-Client' => "c$_" } } } 1 .. 8;

sub latency {
    my ($fleet, $name) = @_;
    $fleet->offer(rate => 300, seconds => 4, path => $path, as => \@as);
    my @r = $fleet->load->wait;
    my @took = map { 1000 * $_->{took} } @r;
    diag sprintf '%-14s p50 %.1f ms, p99 %.1f ms, %d requests', $name,
        (map { Test::LLM::Judge::quantile($_, @took) } 0.5, 0.99), scalar @took;
    is_deeply([ Test::LLM::Judge::strange(\@r, 429) ], [], "$name: all are answered");
    return Test::LLM::Judge::quantile(0.99, @took);
}

my $alone = Test::LLM::Fleet->new(alone => 1, server => $server)->start;
my $without = latency($alone, 'without Redis');
check($_) for $alone->nodes->nodes;

my $fleet = Test::LLM::Fleet->new(server => $server)->start;
latency($fleet, 'with Redis');

$fleet->redis->pause;
my $stopped = latency($fleet, 'Redis stopped');
$fleet->redis->resume;
cmp_ok($stopped, '<', $without * 4 + 100, 'a stopped Redis is not waited for');

finish();
