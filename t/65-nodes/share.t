# Three nodes, one limit: load on all of them, on one, on mostly one.  The
# provider's log is the judge.  A minute takes six seconds.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

plan skip_all => 'no redis-server' unless Test::LLM::Redis->available;

my $fleet = Test::LLM::Fleet->new(scale => 10, workers => 2, server => <<'EOC')->start;
        location /slide/ { llm_pass m; llm_limit per=$http_x_client 120r/m; }
        location /cal/   { llm_pass m; llm_limit per=$http_x_client 50r/m clock=calendar; }
        location /fill/  { llm_pass m; llm_limit per=$http_x_client 120r/m clock=refill; }
EOC
note 'seed ', $fleet->seed;
$fleet->pass(30);                   # who is new has no part in running minutes

my ($requests, $operations) = (0, $fleet->redis->operations);

for my $case ([ 'slide', 'all', n0 => 1, n1 => 1, n2 => 1 ],
              [ 'slide', 'mostly one', n0 => 1, n1 => 40, n2 => 1 ],
              [ 'cal', 'one', n0 => 0, n1 => 0, n2 => 1 ],
              [ 'cal', 'mostly one', n0 => 20, n1 => 1, n2 => 1 ],
              [ 'fill', 'mostly one', n0 => 1, n1 => 1, n2 => 40 ])
{
    my ($path, $name, %weight) = @$case;
    my $client = "$path-" . $name =~ s/ /-/gr;
    $fleet->offer(rate => 100, seconds => 120, to => $fleet->nodes->to(%weight),
        path => "/$path/v1/chat/completions", model => 'm',
        as => [ { client => $client, headers => { 'X-Client' => $client } } ]);
    my @r = $fleet->load->wait;
    $requests += @r;

    my $judge = Test::LLM::Judge->new(grep { $_->{client} eq $client } $fleet->provider->log);
    my $max = $path eq 'cal' ? 50 : 120;
    my @over = $path eq 'cal' ? $judge->calendar(window => 60, limit => $max, slack => 3)
        : $path eq 'slide' ? $judge->sliding(window => 60, limit => $max, slack => 3) : ();
    my $sum = $judge->sum->{''};

    is("@over", '', "$path, load on $name: no window above");
    cmp_ok($sum, '>=', 2 * 0.9 * $max, "... and most is used: $sum in two minutes");
    cmp_ok($sum, '<=', 3 * $max, '... not more than a full bucket and two minutes');
    is(scalar(grep { $_->{status} != 200 && $_->{status} != 429 } @r), 0,
        '... no other answers');
}

note sprintf '%.3f operations per request', ($fleet->redis->operations - $operations) / $requests
    if defined $operations;
check($_) for $fleet->nodes->nodes;
finish();
