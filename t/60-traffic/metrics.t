# llm_metrics: a page that Prometheus reads, with numbers that are right.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $many = join '', map { sprintf "sk-many-%06d\n", $_ } 1 .. 10_000;

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port },
    env => { KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-000002' },
    files => { 'many.keys' => $many },
    secrets => ['sk-many-000001', 'sk-many-010000'], conf => <<'EOC')->start;
    llm_zone t:32m;
    llm_key_pool two { select in_order; key env:KEY_A name=alpha; key env:KEY_B name=beta; }
    llm_key_pool many { keys file:%%DIR%%/many.keys; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys two;
                     breaker failures=2 open=30s; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; keys many; breaker off; }
    llm_provider never { dialect mock; }
    llm_model m { provider a; id m-1; price input=1 output=2; }
    llm_model n { provider b; id n-1; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location = /metrics { llm_metrics; }
        location /admin/ { llm_admin; }
        location /n/ { llm_pass n; }
        location /b/ { llm_pass b; }
        location / { llm_pass m; }
    }
EOC

my @json = ('Content-Type' => 'application/json');


# ---- a strict reader --------------------------------------------------------------

# { name{label="value",...} => number }; what is wrong goes into @wrong
my (%type, @wrong);

sub page {
    my $r = $gw->get('/metrics');
    is($r->status, 200, 'the page') if !%type;
    return read_page($r->body);
}

sub read_page {
    my ($text) = @_;
    my (%sample, %help, %seen, $family);

    %type = ();
    @wrong = ();
    push @wrong, 'no line end' unless $text =~ /\n\z/;

    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP ([a-z_]+) (\S.*)$/) {
            push @wrong, "help twice: $1" if $help{$1}++;
            $family = $1;

        } elsif ($line =~ /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/) {
            push @wrong, "type without help: $1" if ($family // '') ne $1;
            push @wrong, "type twice: $1" if $type{$1};
            $type{$1} = $2;

        } elsif ($line =~ /^([a-z_]+)(?:\{(.*)\})? (-?\d+(?:\.\d+)?)$/) {
            my ($name, $labels, $value) = ($1, $2 // '', $3);
            my %label;

            while ($labels =~ s/^([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)//) {
                push @wrong, "label twice: $line" if exists $label{$1};
                $label{$1} = $2;
            }
            push @wrong, "labels: $line" if length $labels;

            my $base = $name =~ s/_(?:bucket|sum|count)$//r;
            my $of = $type{$name} ? $name : $base;
            push @wrong, "out of its family: $line" if $of ne ($family // '');
            push @wrong, "not a histogram: $line"
                if $of ne $name && ($type{$of} // '') ne 'histogram';
            push @wrong, "a counter's name: $line"
                if ($type{$of} // '') eq 'counter' && $name !~ /_total$/;

            my $key = $name . '{' . join(',', map { "$_=$label{$_}" }
                sort keys %label) . '}';
            push @wrong, "twice: $key" if $seen{$key}++;
            $sample{$key} = $value;

        } else {
            push @wrong, "not understood: $line";
        }
    }

    histograms(\%sample);
    return \%sample;
}

# buckets only grow, and the last one is the count
sub histograms {
    my ($sample) = @_;
    my %series;

    for my $key (keys %$sample) {
        my ($name, $labels) = $key =~ /^(.*)_bucket\{(.*)\}$/ or next;
        my ($le) = $labels =~ /(?:^|,)le=([^,]+)/;
        my $rest = $labels =~ s/(?:^|,)le=[^,]+//r =~ s/^,//r;
        push @{ $series{"$name|$rest"} },
            [ $le eq '+Inf' ? 9e99 : $le, $sample->{$key} ];
    }

    for my $id (keys %series) {
        my ($name, $rest) = split /\|/, $id;
        my @buckets = sort { $a->[0] <=> $b->[0] } @{ $series{$id} };
        my $last = 0;
        for (@buckets) {
            push @wrong, "$id falls at $_->[0]" if $_->[1] < $last;
            $last = $_->[1];
        }
        push @wrong, "$id: no +Inf" if $buckets[-1][0] < 9e99;
        push @wrong, "$id: count"
            if $last != ($sample->{"${name}_count{$rest}"} // -1);
        push @wrong, "$id: sum"
            unless defined $sample->{"${name}_sum{$rest}"};
    }
}

sub promtool {
    my ($name) = @_;
    my ($tool) = grep { -x } ($ENV{LLM_PROMTOOL} // ()),
        map { "$_/promtool" } split /:/, $ENV{PATH};

    SKIP: {
        skip 'no promtool here', 1 unless $tool;
        my $file = $gw->write('page.txt', $gw->get('/metrics')->body);
        my $said = `$tool check metrics < $file 2>&1`;
        is($said, '', "$name: promtool has nothing to say");
    }
}


# ---- before anything ------------------------------------------------------------

my $r = $gw->get('/metrics');
is($r->header('content-type'), 'text/plain; version=0.0.4; charset=utf-8',
    'the type of the format');
is($gw->http(HEAD => '/metrics')->body, '', 'HEAD');
is($gw->http(POST => '/metrics', { @json }, '{}')->status, 405, 'no POST');

my $s = page();
is("@wrong", '', 'a clean page');
is($s->{'llm_provider_breaker{provider=a,state=closed}'}, 1, 'a breaker');
is($s->{'llm_provider_breaker{provider=a,state=open}'}, 0, '... not open');
is($s->{'llm_provider_breaker{provider=b,state=off}'}, 1, '... one that is off');
is($s->{'llm_provider_inflight{provider=a}'}, 0, 'nothing in flight');
is($s->{'llm_provider_enabled{provider=a}'}, 1, 'a provider is on');
is($s->{'llm_model_enabled{model=m,provider=a}'}, 1, 'a model is on');
is($s->{'llm_key_state{key=alpha,pool=two,state=active}'}, 1, 'a key');
is($s->{'llm_key_state{key=alpha,pool=two,state=cooling}'}, 0, '... is not cooling');
is($s->{'llm_pool_keys{pool=two,state=active}'}, 2, 'keys of a pool');
is($s->{'llm_pool_keys{pool=many,state=active}'}, 10_000, '... of a large one');
is(scalar(grep { /^llm_key_state\{.*pool=many/ } keys %$s), 0,
    '... which are not told one by one');
cmp_ok(length $r->body, '<', 20_000, 'a small page');
is(scalar(grep { /^llm_attempts_total/ } keys %$s), 0, 'no attempts yet');
promtool('at first');


# ---- attempts, tokens, money, time -------------------------------------------------

my $usage = { prompt_tokens => 1000, completion_tokens => 500,
    total_tokens => 1500, prompt_tokens_details => { cached_tokens => 200 },
    completion_tokens_details => { reasoning_tokens => 100 } };
my $down = reply(503, {}, '{"error":{"message":"down"}}');

$up->on('/a/*' => ok_chat('one', usage => $usage),
    ok_chat('two', usage => $usage), [ [ pause => 300 ], @{ ok_chat('three', usage => $usage) } ], $down);
$up->on('/b/*' => ok_chat('b'));
chat($gw, 'x') for 1 .. 3;
chat($gw, 'x', path => '/n/v1/chat/completions');
chat($gw, 'x', path => '/b/v1/chat/completions');

$s = page();
is("@wrong", '', 'a clean page');
my $m = 'model=m,provider=a';
is($s->{"llm_attempts_total{class=ok,$m}"}, 3, 'attempts');
is($s->{"llm_tokens_total{$m,type=input}"}, 3000, 'tokens in');
is($s->{"llm_tokens_total{$m,type=cached}"}, 600, '... cached');
is($s->{"llm_tokens_total{$m,type=output}"}, 1500, '... out');
is($s->{"llm_tokens_total{$m,type=reasoning}"}, 300, '... reasoning');
cmp_ok($s->{"llm_cost_usd_total{$m}"}, '==', 0.006, 'dollars');
like($s->{"llm_cost_usd_total{$m}"}, qr/^0\.006000000$/, '... all nine decimals');
is($s->{"llm_attempt_duration_seconds_count{$m}"}, 3, 'times');
cmp_ok($s->{"llm_attempt_duration_seconds_sum{$m}"}, '>=', 0.3, '... in seconds');
cmp_ok($s->{"llm_attempt_duration_seconds_bucket{le=0.256,$m}"}, '<=', 2,
    '... the slow one is above 256 ms');
is($s->{'llm_attempts_total{class=ok,model=n,provider=b}'}, 1, 'another model');
is($s->{'llm_unpriced_total{model=n,provider=b}'}, 1, '... without a price');
is($s->{'llm_attempts_total{class=ok,model=,provider=b}'}, 1,
    'a provider without a model');
is(scalar(grep { /provider=never/ && /attempts|tokens/ } keys %$s), 0,
    'nothing of what was never used');

chat($gw, 'x') for 1 .. 2;
$s = page();
is($s->{"llm_attempts_total{class=overloaded,$m}"}
    // $s->{"llm_attempts_total{class=server,$m}"}, 2, 'failures by class');
is($s->{"llm_attempts_total{class=ok,$m}"}, 3, '... beside the others');
is($s->{'llm_provider_breaker{provider=a,state=open}'}, 1, 'the breaker is open');
is($s->{'llm_provider_breaker{provider=a,state=closed}'}, 0, '... not closed');

$up->on('/b/*' => ok_stream(['one', ' two'], usage => $usage));
chat($gw, 'x', path => '/n/v1/chat/completions', stream => JSON::PP::true);
$s = page();
is($s->{'llm_time_to_first_token_seconds_count{model=n,provider=b}'}, 1,
    'the first content of a stream');
is("@wrong", '', 'a clean page');

$gw->http(PUT => '/admin/keys/beta', { @json }, '{"enabled":false}');
$gw->http(PUT => '/admin/providers/b', { @json }, '{"enabled":false}');
$gw->http(PUT => '/admin/models/n', { @json }, '{"enabled":false}');
$s = page();
is($s->{'llm_key_state{key=beta,pool=two,state=off}'}, 1, 'a key that is off');
is($s->{'llm_pool_keys{pool=two,state=off}'}, 1, '... among those of its pool');
is($s->{'llm_provider_enabled{provider=b}'}, 0, 'a provider that is off');
is($s->{'llm_model_enabled{model=n,provider=b}'}, 0, 'a model that is off');
promtool('in the end');

# ---- counters only grow --------------------------------------------------------------

ok($gw->reload, 'reload');
my $after = page();
is($after->{"llm_attempts_total{class=ok,$m}"}, 3, 'counters survive a reload');

finish;
