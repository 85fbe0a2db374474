# Nodes whose configurations differ for a while, and start=now on several.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Nodes;
use Test::LLM::Redis;
use Test::LLM::Upstream;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis->available;

my $up = Test::LLM::Upstream->new;
my $redis = Test::LLM::Redis->new;
my $conf = <<'EOC';
    llm_zone t:16m;
    llm_redis %%REDIS%%;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; }
    llm_split now { variant blue a 100%; variant green a 0%; rollout green steps=10%,100% bake=1h max_bake=2h start=now; }
    llm_split s { variant blue a 90%; variant green a 10%; <MORE> }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
    }
EOC

my $old = $conf =~ s/<MORE>//r;
my $new = $conf =~ s/<MORE>/variant pink a 0%;/r;
my $nodes = Test::LLM::Nodes->new(n => 3, workers => 2, redis => $redis, vars => { UP => $up->port }, conf => $old)->start;
my $json = { 'Content-Type' => 'application/json' };

sub doc  { my ($i, $s) = @_; return $nodes->node($i)->get("/admin/splits/$s")->json || {} }
sub call { my ($i, $what, %body) = @_; return $nodes->node($i)->http(POST => "/admin/splits/$what", $json, to_json(\%body)) }
sub agree { my ($s, $want) = @_; return 3 == grep { $_->{shared} && $want->($_) } map { doc($_, $s) } 0 .. 2 }
sub entries { my ($action) = @_; return grep { $_->{action} eq $action } map { @{ $nodes->node($_)->get('/admin/audit')->json->{entries} } } 0 .. 2 }

# ---- start=now ----------------------------------------------------------------

ok(wait_for(sub { agree('now', sub { $_[0]{state} eq 'progressing' && $_[0]{weights}{green} == 10 }) }, 20), 'start=now starts on all nodes');
is(scalar entries('start'), 1, 'once');
is(doc(0, 'now')->{version}, 2, 'in one step');
my $since = doc(0, 'now')->{rollout}{since};
$nodes->reload(1, $old);
$nodes->leave(2);
$nodes->back(2);
ok(wait_for(sub { agree('now', sub { $_[0]{version} == 2 }) }, 15), 'neither a reload nor a restart starts it again');
is(scalar entries('start'), 1, 'still once');

# ---- other variants -------------------------------------------------------------

$nodes->reload(0, $new);
ok(wait_for(sub { exists doc(0, 's')->{weights}{pink} && doc(0, 's')->{shared} }, 10), 'one node has a variant more, and its document is shared');
ok(wait_for(sub { 2 == grep { $nodes->node($_)->log =~ /"s" has other variants/ } 1, 2 }, 10), 'the others say that they keep theirs');
is(join(' ', sort keys %{ doc(1, 's')->{weights} }), 'blue green', 'and do');
is(call(0, 's/abort', variant => 'green')->status, 200, 'a variant is aborted there');
ok(wait_for(sub { 2 == grep { doc($_, 's')->{weights}{green} == 0 } 1, 2 }, 10), 'and has no weight on the others either');
my $start = JSON::PP::true();
is($nodes->node(0)->http(PUT => '/admin/splits/s', $json, to_json({ version => doc(0, 's')->{version}, force => $start,
    weights => { blue => 80, green => 20, pink => 0 } }))->status, 200, 'it comes back there');
is($nodes->node(1)->http(PUT => '/admin/splits/s', $json, to_json({ version => doc(1, 's')->{version}, force => $start,
    weights => { blue => 70, green => 30 } }))->status, 200, 'and on another node, for itself');
is(doc(2, 's')->{weights}{green}, 0, 'nobody else goes along');
is(call(1, 's/abort', variant => 'green')->status, 200, 'that one aborts it');
ok(wait_for(sub { doc(0, 's')->{weights}{green} == 0 }, 10), 'the others hear of it');
$nodes->reload(1, $new);
ok(wait_for(sub { my $d = doc(1, 's'); $d->{shared} && exists $d->{weights}{pink} }, 10), 'the next one gets that configuration');
$nodes->reload(2, $new);
ok(wait_for(sub { agree('s', sub { exists $_[0]{weights}{pink} }) }, 15), 'at last all have one document again');
my %versions = map { doc($_, 's')->{version} => 1 } 0 .. 2;
is(scalar keys %versions, 1, 'the same');

$_->expect_log(qr/llm: redis /) for map { $_->{gw} } @{ $nodes->{all} };
finish();
