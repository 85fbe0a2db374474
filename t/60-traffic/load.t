# Weights that move under load: every request has its answer, whatever the
# operator, a reload or a dying worker does meanwhile.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2, main => 'worker_shutdown_timeout 20s;', conf => <<'EOC')->start;
    llm_zone t:24m;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; }
    llm_provider quick { dialect mock; latency 0; chunk_interval 0; }
    llm_provider m     { dialect mock; latency 20ms; jitter 10ms; chunk_interval 5ms; }
    llm_split s    { sticky $http_x_user; variant blue blue 90%; variant green green 10%; }
    llm_split mock { sticky $connection; variant a m 40%; variant b m 30%; variant c m 20%; variant d m 10%; }
    llm_split fast { variant a quick 50%; variant b quick 50%; }
    server {
        listen 127.0.0.1:%%PORT%% backlog=4096;
        location /s/     { llm_pass s; }
        location /fast/  { llm_pass fast; }
        location /mock/  { llm_pass mock; }
        location /admin/ { llm_admin; }
    }
EOC
my $true = JSON::PP::true();
my $path = '/v1/chat/completions';

sub split_of { my ($name) = @_; return $gw->get("/admin/splits/$name")->json }

sub weigh {
    my ($name, %weights) = @_;
    my $doc = split_of($name);
    return $gw->http(PUT => "/admin/splits/$name", { 'Content-Type' => 'application/json' },
        to_json({ version => $doc->{version}, weights => \%weights }))->status;
}

# asks for some seconds, 32 at a time, and calls $each every 200 ms
sub load {
    my ($seconds, $where, $each) = @_;
    my (@open, @failed, $ok);
    my $stop = now() + $seconds;
    my $next = now();
    my $users = 0;
    while (now() < $stop || @open) {
        while (@open < 32 && now() < $stop) {
            $users++;
            push @open, start_all($gw, [ POST => "/$where$path", { 'X-User' => "u$users" }, chat_body('m', $users % 2 ? (stream => $true) : ()) ]);
        }
        run_all(10, @open, sub { grep { $_->{done} } @open });
        for my $c (grep { $_->{done} } @open) {
            if ($c->status == 200 && $c->complete) { $ok++ } else { push @failed, $c }
        }
        @open = grep { !$_->{done} } @open;
        if (now() > $next && now() < $stop) {
            $each->();
            $next = now() + 0.2;
        }
    }
    return ($ok, @failed);
}

sub show { diag map { ($_->status, ' ', $_->error // '', ' ', $_->wire, "\n") } @_[0 .. ($#_ > 2 ? 2 : $#_)] if @_ }

# ---- weights and reloads ------------------------------------------------------------------

$up->on("/$_/*" => ok_chat($_)) for qw(blue green);
my $turn = 0;
my @refused;
my ($ok, @failed) = load(4, 'mock', sub {
    $turn++;
    if ($turn % 4 == 0) {
        kill 'HUP', $gw->pid;
    } else {
        my $status = weigh('mock', a => 10 * ($turn % 4), b => 50, c => 50 - 10 * ($turn % 4), d => 0);
        push @refused, $status if $status != 200;
    }
});
cmp_ok($turn, '>=', 8, "$turn changes of weights and configurations");
is("@refused", '', '... none was refused');
cmp_ok($ok, '>', 200, "$ok requests answered");
is(scalar @failed, 0, 'no request was lost') or show(@failed);

# what is counted adds up
ok(wait_for(sub {
    my $n = 0;
    $n += $_->{totals}{n} + $_->{totals}{uncounted} for @{ split_of('mock')->{variants} };
    $n == $ok;
}), 'every one of them was counted once') or diag to_json(split_of('mock'));

# ---- as many as there can be ----------------------------------------------------------------

SKIP: {
    skip 'wrk is not installed', 3 unless grep { -x "$_/wrk" } split /:/, $ENV{PATH};
    $gw->write('wrk.lua', "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = '" . chat_body('m') . "'\n");
    my $url = 'http://127.0.0.1:' . $gw->port . "/fast$path";
    open my $wrk, '-|', 'wrk', '-t1', '-c64', '-d3s', '--timeout', '20s', '-s', $gw->dir . '/wrk.lua', $url or die "wrk: $!";
    my $end = now() + 2.5;
    my @status;
    my $i = 0;
    while (now() < $end) {
        my $a = 10 * (++$i % 10);
        push @status, weigh('fast', a => $a, b => 100 - $a);
        select undef, undef, undef, 0.02;
    }
    my $out = do { local $/; <$wrk> };
    close $wrk;
    my ($rate) = $out =~ m{Requests/sec:\s+([\d.]+)};
    my ($sent) = $out =~ /(\d+) requests in/;
    is((grep { $_ != 200 } @status), 0, scalar(@status) . " changes of weights at $rate requests a second");
    unlike($out, qr/Non-2xx|Socket errors/, '... lose none of them') or diag $out;
    my $n = 0;
    wait_for(sub {
        $n = 0;
        $n += $_->{totals}{n} for @{ split_of('fast')->{variants} };
        return $n >= $sent;
    });
    ok($n >= $sent && $n <= $sent + 64, "... and all are counted: $n for $sent");
}

# ---- a worker is killed --------------------------------------------------------------------

$gw->expect_log(qr/exited on signal 9/);
$up->reset;
$up->on("/$_/*" => [ [ barrier => 'kill' ], @{ ok_chat($_) } ]) for qw(blue green);
my @c = start_all($gw, map { [ POST => "/s$path", { 'X-User' => "k$_" }, chat_body('m') ] } 1 .. 40);
run_all(10, @c, sub { $up->waiting('kill') == 40 });
is(weigh('s', blue => 40, green => 60), 200, 'weights are changed while all of them wait');
my ($victim) = $gw->workers;
kill 'KILL', $victim;
wait_for(sub { my @w = $gw->workers; @w >= 2 && !grep { $_ == $victim } @w });
$up->release('kill');
run_all(10, @c);
my $good = grep { $_->status == 200 && $_->complete } @c;
my $broken = grep { $_->error && !$_->complete } @c;
is($good + $broken, 40, "a killed worker: $good answered, $broken visibly broken, nothing else");
is(split_of('s')->{weights}{green}, 60, '... and the weights are those that were set');
$up->reset;
$up->on("/$_/*" => ok_chat($_)) for qw(blue green);
my @after = $gw->many(10, map { [ POST => "/s$path", { 'X-User' => "k$_" }, chat_body('m') ] } 1 .. 50);
is((grep { $_->status == 200 } @after), 50, '... and all is well afterwards');
ok((grep { $_->header('x-llm-variant') eq 'green' } @after) > 15, '... by these weights');

finish();
