# Limits that three nodes keep together, judged by what arrived at the provider:
# a sliding minute under five times its load, spread unevenly.  A minute takes
# ten seconds here.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Fleet;

my $fleet = Test::LLM::Fleet->new(scale => 6, server => <<'EOC')->start;
        location /few/    { llm_limit per=$http_x_client 30r/m; llm_pass m; }
EOC
diag 'SEED=' . $fleet->seed;

# every client comes for two minutes; meanwhile everything goes wrong in turn
$fleet->offer(rate => 100, seconds => 240, path => '/few/v1/chat/completions',
    waves => [ 24, 120, 'r', { headers => { 'X-Client' => '{{client}}' } } ],
    to => $fleet->nodes->to(n0 => 6, n1 => 3));
for my $fault (qw(drop stop flush partition kill reload clock)) {
    $fleet->pass(8);
    $fleet->faults->run($fault);
}
my @r = grep { !$_->{reused} || !$_->{error} } $fleet->load->wait;
my $judge = $fleet->judge;

# those in a worker that is killed are lost
my @odd = Test::LLM::Judge::strange(\@r, 429, 0);
is_deeply(\@odd, [], 'all requests are answered or refused');
is_deeply([ $judge->sliding(window => 60, limit => 30, by => 'client', slack => 1.5) ], [],
    'no minute holds more than the limit');

my $most = $judge->most(window => 60, by => 'client');
my @low = grep { ($most->{"r$_"} // 0) < 27 } 0 .. 5;
is_deeply(\@low, [], '... and the limit is used') or diag explain $most;

# and again a minute later
my $sum = $judge->sum(by => 'client');
@low = grep { ($sum->{"r$_"} // 0) < 54 } 0 .. 4;
is_deeply(\@low, [], '... in the second minute, too') or diag explain $sum;

finish();
